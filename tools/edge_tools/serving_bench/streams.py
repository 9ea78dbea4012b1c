"""Video files that never end, to be played at any rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_runtime.errors import SourceError, UsageError
from edge_runtime.inspect.sources import Frame, SourceKind, VideoSource
from edge_runtime.inspect.suffixes import VIDEO_SUFFIXES

__all__ = ["LoopedVideo", "videos_in"]


class LoopedVideo:
    """A video from its beginning again when it is over; frames are numbered on. Ends after `frames` or when it may not
    go on."""

    def __init__(
        self,
        path: Path,
        name: str,
        frames: int | None = None,
        go_on: Callable[[], bool] = lambda: True,
        first: int = 0,
    ) -> None:
        """Begins at frame `first` of the file, so that streams of one file differ. Raises SourceError."""
        self.name = name
        self.kind: SourceKind = "video"
        self.total = frames
        self.dropped = 0
        self._path, self._frames, self._go_on, self._first = path, frames, go_on, first
        self._source = VideoSource(str(path), name, name)
        self.fps = self._source.fps

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames. Raises SourceError for a file that has none, or cannot be opened again."""
        number = 0
        skip = self._first
        while True:
            seen = 0
            for frame in self._source:
                seen += 1
                if frame.image is None or frame.frame_id < skip:
                    continue
                if number == self._frames or not self._go_on():
                    return
                yield dataclasses.replace(frame, frame_id=number)
                number += 1
            if seen <= skip and skip == 0:
                raise SourceError(f"{self._path} has no frames to be served")
            skip = 0
            self._source.close()
            self._source = VideoSource(str(self._path), self.name, self.name)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def videos_in(places: list[Path]) -> list[Path]:
    """Return the video files named, and those of the folders named, in order. Raises UsageError if there is none."""
    found: list[Path] = []
    for place in places:
        found += sorted(p for p in place.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES) if place.is_dir() else [place]
    if not found:
        raise UsageError(f"no videos in {', '.join(map(str, places))}; give files or a folder with --videos")
    return found
