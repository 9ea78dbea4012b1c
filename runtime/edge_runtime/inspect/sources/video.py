"""Video files, and URLs of files: every frame once, in order."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings, DiedError, End, FakeDecoder, Shot
from edge_runtime.inspect.reader.here import HERE
from edge_runtime.inspect.sources.base import Frame, SourceKind

__all__ = ["VideoSource"]

# A container's frame count is often an estimate; only an end well before it means that something is missing.
_COMPLETE = 0.97
_DEATHS = 5  # of the process that reads, without a picture between them: then it is the file, and not another source


class VideoSource:
    """Reads a video (or animated GIF) to its end; `stride` takes each Nth frame, numbered as in the file."""

    def __init__(
        self,
        path: str,
        name: str,
        stem: str,
        stride: int = 1,
        connect: Callable[[DecoderSettings], Decoder] = HERE.open,
    ) -> None:
        """`connect` opens the file, and opens it again when the process that read it died. Raises SourceError."""
        self.name = name
        self.kind: SourceKind = "video"
        self.dropped = 0
        self._stem = stem
        self._connect = connect
        self._settings = DecoderSettings(path, "file", stride=stride)
        try:
            self._decoder: Decoder | None = connect(self._settings)
        except SourceError as error:
            raise SourceError(f"cannot open the video {name}: {error}") from error
        facts = self._decoder.facts
        self._declared, self._fps = facts.frames or 0, facts.fps
        self.total: int | None = math.ceil(self._declared / stride) if self._declared else None
        self.fps: float | None = None if facts.fps is None else facts.fps / stride

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames to the end of the file.

        A frame that cannot be decoded or trusted, a gap, and a file that ends well before its declared length, give a
        frame with an error. Raises SourceError if there is not one frame in it.
        """
        following = deaths = 0  # the number of the next frame; how often the process has died since the last one came
        first = last = None
        while self._decoder is not None:
            read = self._decoder.read()
            if isinstance(read, Shot):
                first, last = read.pts if first is None else first, read.pts
                following, deaths = read.number + 1, 0
                yield self._frame(read)
            elif isinstance(read, End) and read.died and (deaths := deaths + 1) < _DEATHS:
                yield self._error(following, f"cannot decode: frame {following} of {self.name}: {read.reason}")
                following += 1
                self._reopen(following)
            elif isinstance(read, End):
                yield from self._last(read, following, None if first is None or last is None else last - first)
                return

    def _frame(self, shot: Shot) -> Frame:
        stem = f"{self._stem}_{shot.number:06d}"
        if shot.image is not None:
            return Frame(self.name, shot.number, stem, image=np.asarray(shot.image), read_ms=shot.decode_ms)
        error = f"cannot decode: frame {shot.number} of {self.name}: {shot.error}"
        return Frame(self.name, shot.number, stem, error=error, read_ms=shot.decode_ms)

    def _error(self, number: int, error: str) -> Frame:
        return Frame(self.name, number, f"{self._stem}_{number:06d}", error=error)

    def _reopen(self, skip: int) -> None:
        """Go on after a frame that took the reading process with it. What cannot be opened again has ended."""
        if self._decoder is None:
            return
        self._decoder.close()
        for _ in range(_DEATHS):
            try:
                self._decoder = self._connect(dataclasses.replace(self._settings, skip=skip))
                return
            except DiedError as error:
                self._decoder = FakeDecoder((), end=End(str(error)))
            except SourceError as error:
                self._decoder = FakeDecoder((), end=End(str(error)))
                return

    def _last(self, end: End, count: int, seconds: float | None) -> Iterator[Frame]:
        """What is to be said about the end after `count` frames, `seconds` from the first to the last."""
        if end.reason is not None:
            yield self._error(count, f"cannot decode: {self.name} was not read from frame {count} on: {end.reason}")
        elif not count:
            raise SourceError(f"the video {self.name} has no frame that can be decoded: truncated or damaged")
        elif count < self._declared * _COMPLETE - 2 and self._ends_early(seconds):
            error = f"cannot decode: {self.name} ends after {count} of {self._declared} frames (truncated)"
            yield self._error(count, error)

    def _ends_early(self, seconds: float | None) -> bool:
        """Return whether the last frame's time lies before the declared end too: counts may be guesses."""
        return not seconds or not self._fps or seconds < self._declared / self._fps * _COMPLETE - 0.5

    def close(self) -> None:
        """Close the file."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
