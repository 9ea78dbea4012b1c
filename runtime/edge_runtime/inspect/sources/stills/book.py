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

__all__ = ["Book", "Page", "decode", "random_in", "run_of"]


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


_WINDOW = 1024  # bytes that are looked at together
_APART = (78, 93)  # levels from byte to byte on average: 85 where every one is as likely as any other
_LIKELY = 380  # chi-square of the levels' counts, 255 +- 23 of random bytes; of what a camera sees, thousands
_MOST_RANDOM = 0.7  # of the pixels: more of them are a test pattern


def random_in(data: bytes, start: int, end: int) -> bool:
    """Whether a part of pixels stored as they are is random to the byte: something else was written over it.

    What is compressed or encrypted looks so; nothing that a camera gives does.
    """
    count = (end - start) // _WINDOW
    if count < 3:
        return False
    pixels = np.frombuffer(data, np.uint8, count * _WINDOW, start)
    apart = cv2.absdiff(pixels[1:], pixels[:-1]).ravel()
    means = np.add.reduceat(apart, np.arange(0, len(apart), _WINDOW), dtype=np.int64) / _WINDOW
    random = np.zeros(count, bool)
    for number in np.flatnonzero((means > _APART[0]) & (means < _APART[1])):
        levels = np.bincount(pixels[number * _WINDOW : (number + 1) * _WINDOW], minlength=256)
        expected = _WINDOW / 256
        random[number] = ((levels - expected) ** 2).sum() / expected < _LIKELY
    together = bool((random[1:] & random[:-1]).any())
    return together and bool(np.count_nonzero(random) < _MOST_RANDOM * count)
