"""A process that holds as much memory after a month as after a minute, though nothing that lives grows.

What else grows, a little with each part and for weeks, is what the interpreter and the C library keep back. CPython
keeps up to 2,000 freed tuples of each of 20 lengths (4 MB), and more come than are taken where tuples are made of
generators; it gives them back in a full collection alone, which no allocation calls for once a quarter of a million
objects live. And glibc gives pictures back or not, by thresholds that follow what was freed last.

So once everything is open, what lives is set apart (gc.freeze), and a full collection, which then looks at young
objects alone and takes less than a millisecond, is made every few seconds. No collection of 100 ms comes into the way
of a verdict either.
"""

from __future__ import annotations

import gc

from edge_devices.process_memory import keep_freed_memory, return_freed_memory

__all__ = ["Steady"]

_EVERY_S = 10.0


class Steady:
    """For one thread."""

    def __init__(self, limited: bool) -> None:
        """`limited`: a memory limit is kept by plan, for which what is freed has to be given back at once."""
        self._limited = limited
        self._collected: float | None = None  # None: not begun

    def begin(self, now_s: float) -> None:
        """Everything is open. What was open before, for a recipe that is gone, is let go of."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return_freed_memory()
        if not self._limited:
            keep_freed_memory()
        self._collected = now_s

    def look(self, now_s: float) -> None:
        """Collect, where it is time; does nothing before `begin`."""
        if self._collected is not None and now_s - self._collected >= _EVERY_S:
            gc.collect()
            self._collected = now_s

    def end(self) -> None:
        """Nothing is set apart any more: what has ended may be collected."""
        if self._collected is not None:
            gc.unfreeze()
            self._collected = None
