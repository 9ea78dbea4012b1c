"""What other work leaves of the cores: /proc/stat's busy time, stolen time included, without this process's own."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

if sys.platform != "win32":
    import resource

__all__ = ["Crowd", "busy_seconds", "put_off"]

# /proc/stat counts hundredths of a second on each core: what is looked at is at least so long.
_SPAN_S = 0.25
_IDLE = (3, 4)  # idle, iowait
_COUNTED = 8  # user nice system idle iowait irq softirq steal; what guests take is in user


class Crowd:
    """Tells how many cores other work leaves."""

    def __init__(
        self,
        cores: Sequence[int] = (),
        stat: Path = Path("/proc/stat"),
        clock: Callable[[], float] = time.monotonic,
        own: Callable[[], float] = time.process_time,
    ) -> None:
        """`cores`: where the threads stay; none: all that this process may use. `own`: seconds that it took itself."""
        self._cores = frozenset(cores) or _usable()
        self._stat, self._clock, self._own = stat, clock, own
        self._looks: deque[tuple[float, float, float]] = deque()

    def room(self) -> float | None:
        """Return the cores that were left to this process, used or not, since a look a quarter of a second ago or so.

        None at the first looks, and where the system does not tell.
        """
        busy = busy_seconds(self._stat, self._cores)
        if busy is None:
            return None
        now, own = self._clock(), self._own()
        looks = self._looks
        looks.append((now, busy, own))
        while len(looks) > 2 and now - looks[1][0] >= _SPAN_S:
            looks.popleft()
        then, busy_then, own_then = looks[0]
        if now - then < _SPAN_S:
            return None
        others = (busy - busy_then - (own - own_then)) / (now - then)
        return len(self._cores) - min(max(others, 0.0), float(len(self._cores)))


def busy_seconds(stat: Path, cores: frozenset[int]) -> float | None:
    """Return how long the cores were not idle since the system's start, in seconds of one; None: it is not told."""
    try:
        text = stat.read_text(encoding="ascii")
        total = None
        for line in text.splitlines():
            name, _, rest = line.partition(" ")
            if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
                ticks = [int(value) for value in rest.split()[:_COUNTED]]
                total = (total or 0) + sum(ticks) - sum(ticks[place] for place in _IDLE if place < len(ticks))
    except (OSError, ValueError):
        return None
    return None if total is None else total / os.sysconf("SC_CLK_TCK")


def put_off() -> int | None:
    """Return how often the calling thread had to leave its core to another one; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(OSError):
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    return None


def _usable() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
