"""A source with what the pipeline has to know of it, and where its records go."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sources.base import Frame, Source, endless

if TYPE_CHECKING:
    from edge_runtime.batching.vocabulary import Priority

__all__ = ["Feed", "unique_names"]


@dataclass(frozen=True, eq=False)
class Feed:
    """`name` is unique among the feeds. A verdict later than `deadline_ms` after the frame was taken is a miss.

    At most `held` of its frames are in memory where several feeds are served: while they are, none is read.
    `max_frames` None: no limit.
    """

    source: Source
    name: str
    sinks: Sequence[Sink] = ()
    priority: Priority = "normal"
    deadline_ms: float = math.inf
    held: int = 4
    max_frames: int | None = None

    @property
    def live(self) -> bool:
        """Whether a newer frame makes an older one worthless."""
        return self.source.kind == "live"

    @property
    def endless(self) -> bool:
        """Whether the next frame may be long in coming: a camera's, or a watched folder's."""
        return endless(self.source)

    def frames(self) -> Iterator[Frame]:
        """Read the source, `max_frames` at most."""
        return itertools.islice(self.source, self.max_frames)


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
