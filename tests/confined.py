"""A process in a memory control group of its own, made below the group of this one: what the kernel charges it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["MemoryGroup", "memory_group"]

_TOP = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True)
class MemoryGroup:
    """`folder` of a version 1 memory controller: its limit, and what was charged to its processes."""

    folder: Path

    def join(self) -> None:
        """Move this process in; for a child before it becomes another program."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    @property
    def kills(self) -> int:
        """How many processes the kernel ended for their memory."""
        words = (self.folder / "memory.oom_control").read_text().split()
        return int(words[words.index("oom_kill") + 1])

    @property
    def most_bytes(self) -> int:
        """The most that was charged, clean pages of files among it, which the kernel drops when it needs room."""
        return int((self.folder / "memory.max_usage_in_bytes").read_text())


@contextlib.contextmanager
def memory_group(most_bytes: int) -> Iterator[MemoryGroup]:
    """A group that may be charged `most_bytes`, without swap; the test is skipped where none can be made."""
    own = next(
        (line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line),
        None,
    )
    if own is None:
        pytest.skip("no memory controller of version 1 here")
    folder = _TOP / own.lstrip("/") / f"edgeline-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory group can be made in {folder.parent}: {error.strerror}")
    try:
        (folder / "memory.limit_in_bytes").write_text(str(most_bytes))
        with contextlib.suppress(OSError):  # a kernel that does not count swap
            (folder / "memory.memsw.limit_in_bytes").write_text(str(most_bytes))
        yield MemoryGroup(folder)
    finally:
        folder.rmdir()
