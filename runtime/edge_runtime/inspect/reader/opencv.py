"""OpenCV's VideoCapture as a decoder."""

from __future__ import annotations

import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import DecoderFacts, DecoderSettings, End, Shot

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_bgr8", "open_opencv"]


def open_opencv(settings: DecoderSettings) -> OpenCvDecoder:
    """Open a video file, stream or camera. Raises SourceError."""
    capture = _camera(settings.address) if settings.way == "camera" else _ffmpeg(settings)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            "damaged, not a video, or a codec that OpenCV lacks" if settings.way == "file" else "no answer"
        )
    return OpenCvDecoder(capture, settings)


def _camera(device: str) -> cv2.VideoCapture:
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    # /dev/v4l/by-id/... are links that OpenCV does not follow
    capture = cv2.VideoCapture(int(device) if device.isdigit() else os.path.realpath(device), backend)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _ffmpeg(settings: DecoderSettings) -> cv2.VideoCapture:
    if "://" not in settings.address:
        return cv2.VideoCapture(settings.address)
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        round(settings.open_timeout * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        round(settings.read_timeout * 1000),
    ]
    return cv2.VideoCapture(settings.address, cv2.CAP_FFMPEG, limits)


class OpenCvDecoder:
    """Gives what retrieve() gives."""

    def __init__(self, capture: cv2.VideoCapture, settings: DecoderSettings) -> None:
        self._capture: cv2.VideoCapture | None = capture
        self._settings = settings
        self._number = -1
        count, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        self.facts = DecoderFacts(
            "opencv",
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            fps=fps if math.isfinite(fps) and 0 < fps < 1000 else None,
            # OpenCV answers with huge negative or infinite numbers for what it does not know.
            frames=int(count) if math.isfinite(count) and 0 < count < 2**40 else None,
        )

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next shot that the stride takes."""
        capture, settings = self._capture, self._settings
        while capture is not None:
            if not capture.grab():
                return End(None if settings.way == "file" else "no frame came")
            self._number += 1
            if self._number < settings.skip or (self._number - settings.skip) % settings.stride:
                continue
            arrived = time.monotonic()
            good, image = capture.retrieve()
            ms = (time.monotonic() - arrived) * 1000
            if not good or image is None:
                return Shot(error="cannot decode", arrived=arrived, number=self._number, decode_ms=ms)
            return Shot(as_bgr8(image), arrived=arrived, number=self._number, decode_ms=ms)
        return End()

    def close(self) -> None:
        """Close the file or device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def as_bgr8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a captured picture as uint8 [height, width, 3], BGR: some cameras deliver gray or 16 bits."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    if image.shape[2] == 4:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGRA2BGR))
    return cast("NDArray[np.uint8]", image)
