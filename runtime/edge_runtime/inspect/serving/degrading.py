"""Looking at less, in a declared order, where there is more than can be looked at.

A model's input has one size, so images cannot be made smaller for it; what can be given up is how often sources in the
background are looked at: every frame, or one of a few. It is never nothing, and a record says it.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.batching.degrade import Ladder, Load, Rung, Step, next_rung
from edge_runtime.inspect.feed import Feed

__all__ = ["Degrading", "ladder_of"]

_EVERY = 5  # one frame of so many is looked at
_WINDOW_MS = 1000.0
_SAID = 5  # changes that are kept for the summary


def ladder_of(feeds: Sequence[Feed]) -> Ladder:
    """Return what these feeds can give up: nothing without a live one in the background."""
    able = [feed for feed in feeds if feed.live and feed.priority == "background"]
    relief = 1 - len(able) / len(feeds) * (1 - 1 / _EVERY) if feeds else 1.0
    return Ladder((Step("background", relief),) if able else ())


class Degrading:
    """Watches how it goes, and says which frames are not looked at. Times are milliseconds of the server's clock."""

    def __init__(self, ladder: Ladder, lanes: int) -> None:
        self._ladder, self._lanes = ladder, lanes
        self._rung = Rung()
        self._counts: dict[str, int] = {}
        self._began: float | None = None
        self._last = self._busy_ms = 0.0
        self._active = self._answers = self._misses = 0
        # What was given up and taken back, and why.
        self.said: list[str] = []

    @property
    def thinned(self) -> bool:
        """Whether sources in the background are looked at less often now."""
        return self._rung.steps > 0

    def observe(self, now_ms: float, active: int, queue: float) -> None:
        """Learn that from now on `active` lanes work, and that `queue` batches wait for each lane."""
        if self._began is None:
            self._began = self._last = now_ms
        self._busy_ms += (now_ms - self._last) * self._active
        self._last, self._active = now_ms, active
        lasted = now_ms - self._began
        if lasted < _WINDOW_MS:
            return
        misses = self._misses / self._answers if self._answers else 0.0
        load = Load(now_ms, self._busy_ms / (lasted * self._lanes), misses, queue)
        self._rung, why = next_rung(self._ladder, self._rung, load)
        if why and len(self.said) < _SAID:
            self.said.append(why)
        self._began, self._busy_ms, self._answers, self._misses = now_ms, 0.0, 0, 0

    def answered(self, feed: Feed, missed: bool) -> None:
        """Learn that a frame was answered, in time or not (dropped: `missed`). Background does not count."""
        if feed.priority != "background":
            self._answers += 1
            self._misses += missed

    def of(self, feed: Feed) -> tuple[bool, tuple[str, ...]]:
        """Return, for the feed's next frame, whether it is looked at, and what its record has to say of that."""
        if not (self.thinned and feed.live and feed.priority == "background"):
            self._counts.pop(feed.name, None)
            return True, ()
        count = self._counts[feed.name] = self._counts.get(feed.name, -1) + 1
        return count % _EVERY == 0, (f"1 of {_EVERY} frames",)
