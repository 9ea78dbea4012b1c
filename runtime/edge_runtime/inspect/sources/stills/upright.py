"""Which way up a picture is: EXIF's word, for what OpenCV does not turn by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.inspect.sources.stills.directory import Directory

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["orientation_in", "upright"]


def orientation_in(tiff: bytes) -> int:
    """Return the orientation that EXIF's bytes say, 1 to 8; 1 where they say none."""
    directory = Directory(tiff)
    for tag, place in directory.entries(512):
        if tag == 0x0112 and place + 12 <= len(tiff):
            value = directory.number(place + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1


def upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror a picture as EXIF 2.32, tag 0x0112, says."""
    turned: NDArray[Any] = image.swapaxes(0, 1) if orientation > 4 else image
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return turned
