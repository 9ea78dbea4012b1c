"""How large a picture may be: what was planned for one, and how much of its resolution is needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from edge_runtime.errors import DataError
from edge_runtime.files.sizes import format_size

__all__ = ["UNBOUNDED", "Room"]

# 16384 x 16384: no camera gives more, and a file of a few kilobytes can say that it holds it.
_MOST_PIXELS = 1 << 28
_MOST_BYTES = 2 << 30


def _whole(height: int, width: int) -> tuple[int, int]:
    return height, width


@dataclass(frozen=True)
class Room:
    """Bytes that one picture may take: `kept` as uint8 [height, width, 3], `working` more while it is decoded.

    0: no limit. One that has to be decoded smaller is brought to `reduced` bytes, or `kept`. `needed` tells of a
    picture's height and width which the model makes use of.
    """

    kept: int = 0
    working: int = 0
    reduced: int = 0
    needed: Callable[[int, int], tuple[int, int]] = _whole

    def check(self, height: int, width: int, file_bytes: int = 0, pixel_bytes: float = 3) -> None:
        """Raise DataError for a size that is not to be decoded; `pixel_bytes` is what decoding takes for a pixel."""
        pixels = height * width
        if pixels <= 0:
            raise DataError(f"it says that it is {width}x{height} pixels")
        if pixels > int(os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS", "") or _MOST_PIXELS):
            raise DataError(f"too many pixels: {width}x{height}; OPENCV_IO_MAX_IMAGE_PIXELS sets the limit")
        takes = round(pixels * pixel_bytes) + file_bytes
        if takes > _MOST_BYTES:
            raise DataError(f"{width}x{height} pixels take {format_size(takes)} to decode")
        if self.kept and (pixels * 3 > self.kept or takes > self.kept + self.working):
            planned = format_size(self.kept)
            raise DataError(
                f"{width}x{height} pixels take {format_size(takes)}, within the memory limit {planned} were planned "
                "for a picture; raise --memory-limit"
            )

    def fits(self, height: int, width: int) -> bool:
        """Whether a picture of this size may be kept as it is."""
        return not self.kept or height * width * 3 <= self.kept


UNBOUNDED = Room()
