"""What a sink is: it takes every frame with its outcome, and is closed once."""

from __future__ import annotations

from typing import Protocol

from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Result

__all__ = ["FakeSink", "Sink"]


class Sink(Protocol):
    """Somewhere records go. Both methods raise OutputError when it cannot be written."""

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Take one frame; its image is None when the verdict is NO_READ."""
        ...

    def close(self) -> None:
        """Finish the files; a second call does nothing."""
        ...


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
