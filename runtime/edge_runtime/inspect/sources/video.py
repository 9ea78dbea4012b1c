"""Video files, and URLs of files: every frame once, in order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import cv2

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources.base import Frame, SourceKind
from edge_runtime.inspect.sources.capture import Capture, as_bgr8, open_file

__all__ = ["VIDEO_SUFFIXES", "VideoSource"]

VIDEO_SUFFIXES = frozenset(
    {
        ".asf",
        ".avi",
        ".gif",
        ".m4v",
        ".mjpeg",
        ".mjpg",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".ts",
        ".webm",
        ".wmv",
    }
)

# A container's frame count is often an estimate; only an end well before it means that something is missing.
_COMPLETE = 0.97


class VideoSource:
    """Reads a video (or animated GIF) to its end; `stride` takes each Nth frame, numbered as in the file."""

    def __init__(
        self,
        path: str,
        name: str,
        stem: str,
        stride: int = 1,
        connect: Callable[[str], Capture | None] = open_file,
    ) -> None:
        capture = connect(path)
        if capture is None:
            raise SourceError(f"cannot open the video {name}: damaged, not a video, or a codec that OpenCV lacks")
        self.name = name
        self.kind: SourceKind = "video"
        self.dropped = 0
        self._stem = stem
        self._stride = stride
        self._capture: Capture | None = capture
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # OpenCV answers with huge negative or infinite numbers for what it does not know.
        self._declared = int(count) if math.isfinite(count) and 0 < count < 2**40 else 0
        self.total: int | None = math.ceil(self._declared / stride) if self._declared else None
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = fps / stride if math.isfinite(fps) and 0 < fps < 1000 else None

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames to the end of the file.

        A frame that cannot be decoded, and a file that ends well before its declared length, give a frame
        with an error. Raises SourceError if there is not one frame in it.
        """
        number = -1
        while self._capture is not None:
            started = time.perf_counter()
            if not self._capture.grab():
                break
            number += 1
            if number % self._stride:
                continue
            good, image = self._capture.retrieve()
            read_ms = (time.perf_counter() - started) * 1000
            stem = f"{self._stem}_{number:06d}"
            if good and image is not None:
                yield Frame(self.name, number, stem, image=as_bgr8(image), read_ms=read_ms)
            else:
                error = f"cannot decode: frame {number} of {self.name}"
                yield Frame(self.name, number, stem, error=error, read_ms=read_ms)
        if self._capture is None:  # closed by the consumer
            return
        if number < 0:
            raise SourceError(f"the video {self.name} has no frame that can be decoded: truncated or damaged")
        if number + 1 < self._declared * _COMPLETE - 2 and self._ends_early(self._capture):
            error = f"cannot decode: {self.name} ends after {number + 1} of {self._declared} frames (truncated)"
            yield Frame(self.name, number + 1, f"{self._stem}_{number + 1:06d}", error=error)

    def _ends_early(self, capture: Capture) -> bool:
        """Return whether the last frame's time lies before the declared end too: counts may be guesses."""
        position = capture.get(cv2.CAP_PROP_POS_MSEC)
        fps = capture.get(cv2.CAP_PROP_FPS)
        return position <= 0 or fps <= 0 or position / 1000 < self._declared / fps * _COMPLETE - 0.5

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
