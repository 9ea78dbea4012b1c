"""What became of one frame of a feed, and how many frames of one are in memory."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Result

__all__ = ["Outcome", "frames_held"]


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
