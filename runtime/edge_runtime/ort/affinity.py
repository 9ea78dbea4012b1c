"""Keeping a thread on some of the processors: a board's big cores, say. Best effort, on Linux."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

__all__ = ["lane_cores", "staying_on"]


@contextlib.contextmanager
def staying_on(cores: Sequence[int]) -> Iterator[None]:
    """Keep the calling thread, and the threads it starts meanwhile, on `cores`; none: wherever the system likes.

    Cores that this process may not use (a container has fewer, a profile is from another board) are left out; where
    nothing of them is left, or the system has no such thing, the thread stays where it was.
    """
    before = _allowed() if cores else frozenset()
    wanted = before & frozenset(cores)
    if not wanted or wanted == before:
        yield
        return
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the cgroup was narrowed meanwhile
            os.sched_setaffinity(0, before)


def lane_cores(cores: tuple[int, ...], lanes: int, threads: int, lane: int) -> tuple[int, ...]:
    """Return the processors of one lane: `threads` of `cores` for each, all of them where there are not so many."""
    if lanes == 1 or len(cores) < lanes * threads:
        return cores
    return cores[lane * threads : (lane + 1) * threads]


def _allowed() -> frozenset[int]:
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    return frozenset(os.sched_getaffinity(0))
