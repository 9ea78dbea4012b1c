"""What a trigger is: it takes a source's frames as they come, and gives those that show a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from edge_runtime.inspect.sources.base import Source, WrappedSource
from edge_runtime.station.awaited import Awaited
from edge_runtime.station.parts.part import PartFrame

__all__ = ["Line", "Trigger", "TriggeredSource"]


@dataclass(frozen=True)
class Line:
    """What a trigger has of its station: its name, when to `stop`, who is told what people should know, verdicts."""

    station: str = ""
    stop: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda line: None
    awaited: Awaited = field(default_factory=Awaited)


class Trigger(Protocol):
    """Says when a part is there. Runs in the thread that reads the source, and reads a live one without a pause."""

    def parts(self, source: Source) -> Iterator[PartFrame]:
        """Yield the frames of one part after another, numbered from 0 without a gap, as soon as they are there.

        A frame that could not be read (`error`) is one of its part. A part that no frame shows is given one with an
        error: it is NO_READ, not forgotten. Raises SourceError as iterating over the source does.
        """
        ...


class TriggeredSource(WrappedSource):
    """A source of which only the frames of parts are looked at."""

    def __init__(self, source: Source, trigger: Trigger) -> None:
        super().__init__(source)
        self._trigger = trigger
        self.total = None

    def __iter__(self) -> Iterator[PartFrame]:
        """Yield them."""
        return self._trigger.parts(self._source)
