"""A part each so many seconds."""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.station.parts.part import Part, PartFrame, showing
from edge_runtime.station.triggers.settings import Every

__all__ = ["EveryTrigger"]


class EveryTrigger:
    """The first frame is of a part, and so is the first after each period."""

    def __init__(self, settings: Every) -> None:
        self._settings = settings

    def parts(self, source: Source) -> Iterator[PartFrame]:
        """Yield the frames of the parts."""
        due, number, left = float("-inf"), -1, 0
        part = Part(0)
        for frame in source:
            now = _seconds(frame, source)
            if left == 0 and (now >= due or source.kind == "image"):
                # Counted from when it was due, so that the rhythm is kept; after a gap it begins anew.
                due = now + self._settings.period if now - due > self._settings.period else due + self._settings.period
                number, left = number + 1, self._settings.frames
                part = Part(number, None, frame.taken_s)
            if left:
                left -= 1
                yield showing(frame, part, last=left == 0)


def _seconds(frame: Frame, source: Source) -> float:
    """When a frame was taken: in a film by its place, else by the clock."""
    return frame.frame_id / source.fps if source.kind == "video" and source.fps else frame.taken_s
