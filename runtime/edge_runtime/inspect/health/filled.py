"""Rows that a decoder filled with gray, in a picture that another program passed on: a whole file, half a scene.

libjpeg and video decoders give 128 for what they have no data of; a camera or a converter that passes such a picture on
writes a file in which nothing is wrong any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["filled"]

_GRAY, _SAME = 128, 1  # the level, and what compression makes of it
_LEAST = 0.02  # of the height, and 8 rows: a block of a JPEG


def filled(image: NDArray[np.uint8]) -> str | None:
    """Return what is wrong with a picture, uint8 [height, width, 3], whose last rows are all gray 128; None: nothing.

    A picture that is gray at its upper edge too was laid on gray on purpose.
    """
    if not _gray(image[-1:]) or _gray(image[:1]):
        return None
    height = len(image)
    flat = np.abs(image[:, :: max(1, image.shape[1] // 64)].astype(np.int16) - _GRAY).max(axis=(1, 2)) <= _SAME
    first = height - int(np.argmin(flat[::-1]))  # not all of them are: the first row is not
    while first < height and not _gray(image[first : first + 1]):
        first += 1
    if height - first < max(8, _LEAST * height):
        return None
    return f"never filled: gray 128 from row {first} of {height} on"


def _gray(rows: NDArray[np.uint8]) -> bool:
    return bool(rows.min() >= _GRAY - _SAME and rows.max() <= _GRAY + _SAME)
