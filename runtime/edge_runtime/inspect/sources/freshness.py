"""How old a live source's picture is, from the stream's own clock against one that never jumps; and when it is silent.

The transport's shortest way is learnt: the least of `arrived - pts`. What exceeds it is the age of a picture: it waited
somewhere, or a decoder handed its last one out again. The least may rise by a small part of the time that passes, as
clocks drift; by no more, or what a stream lags behind would be learnt as its shortest way.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

__all__ = ["Age", "Freshness"]

_DRIFT = 0.005  # of the time that passes: fifty times what crystals do
_GAPS = 15  # of which the period is taken
_SAME = 3  # pictures in a row with one time: that is no clock
_SETTLES = 3.0  # seconds after which a stream that is never slower than time is taken as it comes
_HASTE = 0.5  # of its period: a picture that comes sooner after the one before was waiting with it
_GUESSED_PERIOD = 0.04
_MOST_DECLARED = 10.0  # seconds from picture to picture that are believed before any has come
_STEADY = 0.75  # of the periods that were counted: a clock that went on by less was set anew


@dataclass(frozen=True)
class Age:
    """`seconds` since a picture was taken, 0 where nothing speaks against now.

    `fresh`: it may be judged. `stale`: it is too old. `unknown`: it came in haste after silence or at the beginning, as
    what was kept somewhere does, and there is no clock to tell (yet). `repeated`: it was there before.
    """

    state: Literal["fresh", "stale", "unknown", "repeated"]
    seconds: float = 0.0


class Freshness:
    """Follows one connection; `restart` begins another. Seconds; `arrived` on a monotonic clock."""

    def __init__(self, silence: float = 2.0, periods: float = 3.0) -> None:
        """A source is silent after `silence` seconds, or `periods` of its own where those are longer."""
        self._silence, self._periods = silence, periods
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._declared = 0.0
        self.restart()

    def restart(self, fps: float | None = None, clocked: bool = False) -> None:
        """Forget the clock, not the period. `fps`: as declared; where it is slow it holds until more is known.

        `clocked`: the stream has a clock, so a first picture without a time is not known to be new: a decoder that
        looks at a stream before it gives pictures keeps them for seconds, and the first often come without one.
        """
        self._declared = min(1 / fps, _MOST_DECLARED) if fps else 0.0
        self._last: tuple[float | None, float, int] | None = None
        self._timed: tuple[float, int] | None = None  # the last picture that had a time
        self._same = 0
        self._kept = self._clocked = clocked
        self._forget()

    def _forget(self, began: float | None = None) -> None:
        self._least: float | None = None
        self._settled = False
        self._began = began

    @property
    def period(self) -> float | None:
        """Seconds from a picture to the next; None: not known yet."""
        return statistics.median_low(self._gaps) if len(self._gaps) > 1 else None

    @property
    def known(self) -> bool:
        """Whether the source's period was declared or learnt."""
        return bool(self.period or self._declared)

    @property
    def limit(self) -> float:
        """Seconds without a picture after which the source is silent; a picture older than that is stale."""
        return max(self._silence, self._periods * (self.period or self._declared))

    def see(self, pts: float | None, arrived: float, number: int = 0) -> Age:
        """Tell the age of the picture that has come, the `number`th of its stream."""
        last, self._last = self._last, (pts, arrived, number)
        timed, self._timed = self._timed, self._timed if pts is None else (pts, number)
        self._began = arrived if self._began is None else self._began
        if last is None:
            if pts is None:
                return Age("unknown" if self._clocked else "fresh")
            return self._by_clock(pts, arrived, None)
        before, came, count = last
        waited = arrived - came
        steps = max(1, number - count)
        self._same = self._same + 1 if pts is not None and pts == before else 0
        if pts is None or self._same >= _SAME:
            return self._by_pace(waited, steps)
        if before is None:
            told = self._by_pace(waited, steps)
            if timed is None or not self._goes_on(pts - timed[0], number - timed[1]):
                self._forget(arrived)
                if told.state == "fresh":
                    self._least, self._settled = arrived - pts, True
            return self._by_clock(pts, arrived, None) if told.state == "fresh" else told
        if self._same:
            return Age("repeated")
        moved = pts - before
        if moved < 0:
            if -moved <= self.limit and self._hasty(waited, steps):
                return Age("repeated")
            self._forget(arrived)  # the stream's clock began anew
        else:
            self._gaps.append(moved / steps)
        return self._by_clock(pts, arrived, (moved, waited) if moved > 0 else None)

    def _goes_on(self, moved: float, steps: int) -> bool:
        """Whether a clock that some pictures did not show is still the one that it was."""
        return self.known and moved >= _STEADY * steps * (self.period or self._declared)

    def _hasty(self, waited: float, steps: int) -> bool:
        return waited / steps < _HASTE * (self.period or self._declared or _GUESSED_PERIOD)

    def _by_clock(self, pts: float, arrived: float, step: tuple[float, float] | None) -> Age:
        way = arrived - pts
        if self._least is None:
            self._least = way
        elif step is not None:
            self._least += _DRIFT * min(max(step[1], 0.0), self.limit)
        self._least = min(self._least, way)
        if not self._settled:
            # At the beginning what a server kept comes in haste; how old that was shows when it keeps time.
            paced = step is not None and step[1] >= _HASTE * step[0]
            self._settled = paced or arrived - (self._began or 0.0) > _SETTLES
            if not self._settled:
                return Age("unknown")
        age = way - self._least
        return Age("stale" if age > self.limit else "fresh", age)

    def _by_pace(self, waited: float, steps: int) -> Age:
        """Without a clock: what comes after a silence was kept somewhere, until pictures keep time again."""
        if waited > self.limit:
            self._kept = True
            self._gaps.append(waited / steps)
            return Age("unknown")
        if self._kept and self._hasty(waited, steps):
            return Age("unknown")
        self._kept = False
        self._gaps.append(waited / steps)
        return Age("fresh")
