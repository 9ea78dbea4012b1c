"""What a process takes together with all that it started: pages that several of them have are counted once.

VmRSS and VmHWM count a page for every mapping of it, in each process again; the proportional set size (PSS) of
/proc/PID/smaps_rollup gives each mapping its part, so the sum over processes is what really lies in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

__all__ = ["PeakWatch", "tree_bytes"]

_EVERY_SECONDS = 0.01


def tree_bytes(pid: int) -> int:
    """Return the bytes of a process and its descendants; 0 for one that has ended, or that the system does not tell of.

    Pages shared with processes outside (libraries) count in part.
    """
    return sum(_pss(one) for one in _tree(pid))


class PeakWatch:
    """Looks at a process tree every 10 ms, from `start` (or `with`) on, and keeps the most that it took, in bytes.

    Looking takes the watched process a moment, some milliseconds for one of many pages: what is watched is not timed.
    """

    def __init__(self, pid: int, every: float = _EVERY_SECONDS) -> None:
        """`every`: seconds between two looks."""
        self.peak = 0
        self._pid, self._every = pid, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgeline-peak", daemon=True)

    def start(self) -> None:
        """Look a first time and go on, once."""
        self._look()
        self._thread.start()

    def __enter__(self) -> PeakWatch:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """Look a last time, end, and return the peak; again: the same."""
        if not self._over.is_set():
            self._look()
            self._over.set()
            self._thread.join()
        return self.peak

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, tree_bytes(self._pid))


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it has ended, or is another user's
        return 0
    found = (line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))
    return int(next(found, "0")) << 10


def _tree(pid: int) -> Iterator[int]:
    """The process and its descendants, as the system lists the children of each thread."""
    waiting, seen = [pid], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        yield one
        try:
            for path in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (path / "children").read_text(encoding="ascii").split())
        except OSError:  # it has ended, or this kernel keeps no such lists
            continue
