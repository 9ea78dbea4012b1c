"""Pictures that are missing between two others, by the times of a stream whose rate is constant."""

from __future__ import annotations

__all__ = ["Gaps"]

_STEPS = 25  # so many equal steps make a constant rate
_MOST = 3.5  # frame times: more than that is a gap
_TOLERANCE = 0.25


class Gaps:
    """Follows the times of one stream's pictures. Once a step was another one, no gap is told any more."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._step: float | None = None
        self._steps = 0
        self._constant = True

    def missing(self, at: float | None) -> int:
        """Return how many pictures are missing between the last one and that of the time `at` (seconds)."""
        last, self._last = self._last, at
        if at is None or last is None or not self._constant:
            return 0
        step = at - last
        if self._step is None:
            self._step = step
        if abs(step - self._step) <= self._step * _TOLERANCE:
            self._steps += 1
            return 0
        if self._steps >= _STEPS and step > self._step * _MOST:
            return round(step / self._step) - 1
        self._constant = self._step > 0 and self._steps >= _STEPS and step > 0  # one that is lost is no new rate
        return 0
