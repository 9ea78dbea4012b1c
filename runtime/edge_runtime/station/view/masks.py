"""The mask of a station as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.images import read_image
from edge_runtime.station.view.settings import Mask, Region, are_fractions
from edge_runtime.station.view.tiling import Rect

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["mask_picture", "masked_pixels", "rect_of"]

_GRAY = 0.01  # of a mask's pixels, the most that may be neither black nor white: its soft edges
_DARK, _LIGHT = 64, 191


def mask_picture(mask: Mask) -> NDArray[np.bool_] | None:
    """Read the picture of a mask: bool [height, width], True where nothing is judged. Raises DataError."""
    if mask.picture is None:
        return None
    image = read_image(mask.picture)
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    between = np.count_nonzero((gray > _DARK) & (gray < _LIGHT))
    if between > _GRAY * gray.size:
        raise DataError(f"{mask.picture} is no mask: {between / gray.size:.0%} of it is neither black nor white")
    return np.asarray(gray < 128 if mask.masked == "black" else gray >= 128)


def masked_pixels(mask: Mask, picture: NDArray[np.bool_] | None, height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of a picture of this size; `picture` is what mask_picture gave. Raises DataError."""
    if picture is not None and picture.shape != (height, width):
        found = f"{picture.shape[1]}x{picture.shape[0]}"
        raise DataError(f"the mask {mask.picture} has {found} pixels, the picture {width}x{height}")
    whole = np.zeros((height, width), np.uint8) if picture is None else picture.astype(np.uint8)
    for number, polygon in enumerate(mask.polygons):
        fractions = are_fractions([value for corner in polygon for value in corner])
        corners = np.array(polygon, np.float64) * ((width, height) if fractions else (1, 1))
        if (corners > (width, height)).any():
            raise DataError(f"polygon {number} of the mask goes beyond the picture, which has {width}x{height} pixels")
        cv2.fillPoly(whole, [np.rint(corners).astype(np.int32)], 1)
    return whole.astype(np.bool_)


def rect_of(region: Region | None, height: int, width: int) -> Rect:
    """Return a region's pixels in a picture of this size; None: all. Raises DataError for one that goes beyond it."""
    if region is None:
        return Rect(0, 0, width, height)
    across, down = (width, height) if region.fractions else (1, 1)
    # As an edge falls into a pixel, that one is looked at; what 0.1 x 10 is above 1 by is no pixel.
    left, top = int(region.x * across + 1e-6), int(region.y * down + 1e-6)
    right = int(np.ceil((region.x + region.width) * across - 1e-6))
    bottom = int(np.ceil((region.y + region.height) * down - 1e-6))
    if right > width or bottom > height:
        raise DataError(
            f"the region goes beyond the picture: it ends at {right},{bottom}, the picture has {width}x{height} pixels"
        )
    return Rect(left, top, right, bottom)
