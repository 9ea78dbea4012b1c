"""What a sink is: it takes every frame with its outcome, and is closed once. And what one is opened with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Result

__all__ = ["FakeSink", "Opened", "OutputSettings", "Sink", "Target"]


@dataclass(frozen=True)
class OutputSettings:
    """Where records and pictures go; nowhere by default.

    `folder` None: runs/MODEL, or the first free of runs/MODEL-2, -3, ... `lines` on standard output: words for people,
    JSON for machines. `window`: one is shown where that is possible.
    """

    pictures: bool = False
    labels: bool = False
    crops: bool = False
    folder: Path | None = None
    lines: Literal["words", "json"] | None = None
    window: bool = False


class Sink(Protocol):
    """Somewhere records go. Both methods raise OutputError when it cannot be written."""

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Take one frame; its image is None when the verdict is NO_READ."""
        ...

    def close(self) -> None:
        """Finish the files; a second call does nothing."""
        ...


@dataclass(frozen=True)
class Target:
    """What a sink of one source may need to know to be opened.

    `name` tells the source from the others of this run, if it is not `alone`. `folder` makes the source's output folder
    when it is called first; it raises OutputError, and UsageError when there are files in it.
    """

    settings: OutputSettings
    source: Source
    name: str
    alone: bool
    folder: Callable[[], Path]
    stop: Stop


@dataclass(frozen=True)
class Opened:
    """A sink, and what it saves where, if it does."""

    sink: Sink
    saves: str = ""
    place: Path | None = None


class FakeSink:
    """A complete sink that remembers the records, for tests."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.closed = 0

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Remember the record."""
        self.records.append(record)

    def close(self) -> None:
        """Count the call."""
        self.closed += 1
