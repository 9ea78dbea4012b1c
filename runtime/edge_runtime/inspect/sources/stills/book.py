"""What a picture file holds: its pages, each decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Book", "Page", "decode", "run_of"]


@dataclass(frozen=True)
class Page:
    """One picture of a file. `pixel_bytes`: what decoding takes for each pixel.

    `decode` gives [height, width] or [height, width, 1, 3 or 4 (BGR, then alpha)] of any type, or raises DataError.
    `bits`: how many of 16 carry light, where the file says so.
    """

    height: int
    width: int
    decode: Callable[[], NDArray[Any]]
    pixel_bytes: float = 3
    bits: int | None = None


@dataclass(frozen=True)
class Book:
    """The pages of a file in their order. `unseen`: a sentence about those that nobody here can look at."""

    pages: Sequence[Page]
    unseen: str = ""


def decode(data: bytes, alpha: bool = False) -> NDArray[Any]:
    """Let OpenCV decode; `alpha`: with its transparency, and not turned upright. Raises DataError."""
    flags = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        reason = str(getattr(error, "err", "")) or "out of memory"
        if "CV_IO_MAX" in reason:
            reason = "too many pixels; OPENCV_IO_MAX_IMAGE_PIXELS sets the limit"
        raise DataError(reason) from error
    if image is None:
        raise DataError("truncated, damaged or of an unknown kind")
    return cast("NDArray[Any]", image)


def run_of(data: bytes, start: int, end: int, stride: int) -> bool:
    """Whether pixels stored as they are were blanked: 0 or 255 over more than a whole row, found nowhere else.

    What is black or white in a scene has ragged edges, or ends with a row: a run that begins and ends within a row, of
    a value that the rest of the picture has not, is a part of a file that was never written.
    """
    if stride <= 0 or end - start < 2 * stride:  # a header may say any size
        return False
    for value in (0, 255):
        place = data.find(bytes([value]) * max(stride + stride // 4, 512), start, end)
        if place < 0:
            continue
        pixels = np.frombuffer(data, np.uint8, end - start, start)
        other = np.flatnonzero(pixels != value)
        cut = int(np.searchsorted(other, place - start))
        first = int(other[cut - 1]) + 1 if cut else 0
        last = int(other[cut]) if cut < other.size else pixels.size
        whole_rows = first % stride == 0 and (last % stride == 0 or last == pixels.size)
        elsewhere = pixels.size - other.size - (last - first)
        if not whole_rows and elsewhere < pixels.size / 10_000:
            return True
    return False
