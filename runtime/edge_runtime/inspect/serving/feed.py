"""A source with what the server has to know of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.batching.vocabulary import Priority
from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.results import Result

__all__ = ["Feed", "Outcome", "frames_held", "unique_names"]


@dataclass(frozen=True, eq=False)
class Feed:
    """`name` is unique among the feeds. A verdict later than `deadline_ms` after the frame was taken is a miss.

    At most `held` of its frames are in memory: while they are, none is read.
    """

    source: Source
    name: str
    priority: Priority = "normal"
    deadline_ms: float = math.inf
    held: int = 4

    @property
    def live(self) -> bool:
        """Whether a newer frame makes an older one worthless."""
        return self.source.kind == "live"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one frame: a result, or why there is none (`dropped`, "" for a frame that was looked at).

    `latency_ms` is from the moment the frame was taken to its verdict; `missed`: that was later than the deadline.
    `batch`: frames that ran together. `degraded`: by what its source was looked at less well than was asked for.
    """

    feed: Feed
    frame: Frame
    result: Result | None
    dropped: str = ""
    latency_ms: float = 0.0
    missed: bool = False
    batch: int = 0
    degraded: tuple[str, ...] = ()


def frames_held(feeds: int, lanes: int, batch: int) -> int:
    """Return how many frames of a feed are in memory at most, so that no lane waits for a source that has more.

    A frame in each lane, one that waits and one that comes; of all feeds together two batches for every lane.
    """
    return max(lanes + 2, -(-2 * lanes * batch // feeds))


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where one is there before: a.mp4, a.mp4 (2)."""
    found: list[str] = []
    for name in names:
        number = 1
        candidate = name
        while candidate in found:
            number += 1
            candidate = f"{name} ({number})"
        found.append(candidate)
    return found
