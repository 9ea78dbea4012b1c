"""What becomes of a judged frame: its record, its place in the summary, and every sink of its feed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.record import ModelIdentity, Served, make_record
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.summary import SourceFigures, Summary
from edge_runtime.results import Result

__all__ = ["Recorder"]


class Recorder:
    """Takes each feed's frames in the order in which they are to be written. For one thread."""

    def __init__(self, model: ModelIdentity, summary: Summary, timed: Sequence[Feed] = ()) -> None:
        """`timed`: feeds whose records say when their verdict came, and that have figures of their own in `summary`."""
        self._model = model
        self.summary = summary
        summary.sources = {feed.name: SourceFigures() for feed in timed}

    def write(self, feed: Feed, frame: Frame, result: Result, served: Served | None = None) -> None:
        """Record a frame. Raises OutputError when a sink cannot be written."""
        if frame.source != feed.name:  # two sources may have one name: records tell them apart
            frame = dataclasses.replace(frame, source=feed.name)
        read = frame.image is not None
        figures = self.summary.sources.get(feed.name)
        record = make_record(frame, result, self._model, None if figures is None else served)
        self.summary.add(record, read)
        if figures is not None and served is not None:
            figures.add(result.verdict, served if read else None)
        for sink in feed.sinks:
            sink.write(frame, result, record)

    def dropped(self, feed: Feed, reason: str) -> None:
        """Count a frame that was not looked at."""
        if (figures := self.summary.sources.get(feed.name)) is not None:
            figures.dropped[reason] += 1
