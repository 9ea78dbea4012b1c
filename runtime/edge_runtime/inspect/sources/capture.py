"""OpenCV's VideoCapture behind a small protocol, so that videos and cameras can be tested without one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import cv2

from edge_runtime.inspect.reader.opencv import as_bgr8

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Capture", "FakeCapture", "as_bgr8", "open_camera", "open_file", "open_stream"]

OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 10_000


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used here."""

    def grab(self) -> bool:
        """Wait for the next frame; False at the end or on failure."""
        ...

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Decode the grabbed frame."""
        ...

    def get(self, prop: int) -> float:
        """Return a property, 0 or less when it is not known."""
        ...

    def release(self) -> None:
        """Free the device."""
        ...


def open_file(path: str) -> Capture | None:
    """Open a video file or the URL of one; None if OpenCV cannot."""
    if "://" in path:
        return open_stream(path)
    return _opened(cv2.VideoCapture(path))


def open_stream(url: str) -> Capture | None:
    """Open an RTSP, RTMP or HTTP stream, with time limits to open and to read; None if that fails."""
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        READ_TIMEOUT_MS,
    ]
    return _opened(cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits))


def open_camera(device: str) -> Capture | None:
    """Open a camera by number ("0") or device path, with a buffer of one frame; None if that fails."""
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    if device.isdigit():
        number: int | str = int(device)
    else:
        number = os.path.realpath(device)  # /dev/v4l/by-id/... are links that OpenCV does not follow
    capture = cv2.VideoCapture(number, backend)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return _opened(capture)


def _opened(capture: cv2.VideoCapture) -> Capture | None:
    if capture.isOpened():
        return cast("Capture", capture)
    capture.release()
    return None


class FakeCapture:
    """A complete scripted capture for tests: a picture is a good frame, None one that cannot be decoded."""

    def __init__(self, script: Sequence[NDArray[np.uint8] | None], declared: int = 0, fps: float = 0.0) -> None:
        self._script = script
        self._place = -1
        self._properties = {cv2.CAP_PROP_FRAME_COUNT: float(declared), cv2.CAP_PROP_FPS: fps}
        self.released = False

    def grab(self) -> bool:
        """Step on to the next entry of the script; False after the last."""
        self._place = min(self._place + 1, len(self._script))
        return self._place < len(self._script)

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Return the current entry."""
        picture = self._script[self._place]
        return picture is not None, picture

    def get(self, prop: int) -> float:
        """Return what the constructor was told, 0 for everything else."""
        return self._properties.get(prop, 0.0)

    def release(self) -> None:
        """Remember that it was released."""
        self.released = True
