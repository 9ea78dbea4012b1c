"""What this machine's clocks are worth: whether the wall clock is synchronized, since which start the other counts."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import time
from collections.abc import Callable

from edge_runtime.files.boot import boot_id

__all__ = ["Clock", "boot_id", "clock_synced", "set_by"]

_UNSYNCHRONIZED = 5  # TIME_ERROR, adjtimex(2)
_LOOK_S = 5.0
_STEP_S = 0.5  # what is more than that is no adjustment but a jump
_Timex = ctypes.c_char * 1024  # a struct timex is smaller


@functools.cache
def _adjtimex() -> ctypes._NamedFuncPointer | None:
    """Look it up once: each library that is opened leaves classes in a cycle, and nothing else here calls for a gc."""
    return getattr(ctypes.CDLL(None), "adjtimex", None) if sys.platform == "linux" else None


def clock_synced() -> bool | None:
    """Whether the kernel takes the wall clock for synchronized; None where it does not tell."""
    adjtimex = _adjtimex()
    if adjtimex is None:
        return None
    state = adjtimex(_Timex())  # of zeros, which changes nothing
    return None if state < 0 else state != _UNSYNCHRONIZED


def set_by(seconds: float) -> str:
    """Say how far a clock was set."""
    return f"{'ahead' if seconds > 0 else 'back'} by {abs(seconds):.1f} s"


class Clock:
    """Asks now and then whether the clock is synchronized, and whether it was set."""

    def __init__(self, stepped: Callable[[float], None], wall: Callable[[], float] = time.time) -> None:
        """`stepped` is told by how many seconds the wall clock jumped, in the thread that asks for a reading."""
        self._stepped, self._wall = stepped, wall
        self._synced, self._asked = clock_synced(), time.monotonic()
        self._offset = wall() - self._asked
        self._lock = threading.Lock()
        self._steps: tuple[int, float] = (0, 0.0)  # how often it was set, and by how much the last time

    def to_json(self) -> dict[str, object]:
        """Whether it is synchronized, how often it was set since the start, and by how many seconds the last time."""
        times, seconds = self._steps
        return {"synced": self._synced, "stepped": times, "by": round(seconds, 3)}

    def reading(self, taken_s: float, judged_s: float) -> dict[str, object]:
        """Return what a record says of its times: seconds on the clock that never goes back, and whose they are."""
        if judged_s - self._asked > _LOOK_S and self._lock.acquire(blocking=False):
            try:
                self._look(judged_s)
            finally:
                self._lock.release()
        times = {"taken_s": round(taken_s, 4), "judged_s": round(judged_s, 4)}
        return {"synced": self._synced, "boot": boot_id(), **times}

    def _look(self, now_s: float) -> None:
        self._synced, self._asked = clock_synced(), now_s
        offset = self._wall() - time.monotonic()
        jumped, self._offset = offset - self._offset, offset
        if abs(jumped) > _STEP_S:
            self._steps = (self._steps[0] + 1, jumped)
            self._stepped(jumped)
