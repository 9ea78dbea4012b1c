"""From what a file holds to uint8 BGR: bit depths, and what lies behind transparency."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEPTHS", "Depth", "laid_on"]

DEPTHS = (8, 10, 12, 14, 16)
# So many bits below a depth that was guessed, and so many times darker than the lightest before it, a picture may as
# well have another depth: cameras have 10, 12, 14 or 16 bits.
_DARKER, _TIMES = 2, 3
# Light that goes no farther does not tell a depth.
_TELLING = 64
_ROWS = 64


class Depth:
    """How many bits of 16 carry light, for all pictures of a source: as declared, or as its first picture shows."""

    def __init__(self, bits: int | None = None, say: Callable[[str], None] = lambda sentence: None) -> None:
        self.bits = bits
        self._say, self._declared = say, bits is not None
        self._lightest = 0

    def to_eight(self, image: NDArray[Any], told: int | None = None) -> NDArray[np.uint8]:
        """Return the picture in 8 bits; `told`: the file's own word. Raises DataError for more bits than there are."""
        if image.dtype == np.uint8:
            return image
        if image.dtype != np.uint16:
            raise DataError(
                f"numbers of type {image.dtype}: what of them is white, nobody says; convert to 8 or 16 bits"
            )
        transparent = image.ndim == 3 and image.shape[2] == 4
        most = int(image[..., :3].max() if transparent else image.max())  # an alpha goes to 65535 whatever the depth is
        if self.bits is None and told is None and most > 0:
            if most < _TELLING:
                raise DataError(f"its light goes to {most}: too dark to tell how many bits there are; give --bit-depth")
            self.bits = next(bits for bits in DEPTHS if most < 1 << bits)
            self._say(f"16-bit pictures are taken for {self.bits} bits (the first goes to {most}); --bit-depth says it")
        bits = self.bits if self._declared or told is None else told
        if bits is None:  # black
            bits = 16
        guessed = told is None and not self._declared
        if guessed and 0 < most < 1 << bits - _DARKER and _TIMES * most <= self._lightest:
            raise DataError(
                f"its light goes to {most}, that of the pictures before to {bits} bits; give --bit-depth: either it is "
                "dark, or of another depth"
            )
        if most >> bits:
            raise DataError(
                f"its light goes to {most}, which is more than {bits} bits"
                + ("" if self._declared or told else ", as the pictures before have; give --bit-depth")
            )
        self._lightest = max(self._lightest, most if guessed else 0)
        eight = (image >> (bits - 8)).astype(np.uint8)
        if transparent and int(image[..., 3].max()) >> bits:
            eight[..., 3] = image[..., 3] >> 8
        return eight


def laid_on(image: NDArray[Any], background: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    """Return uint8 [height, width, 3], BGR, of one with any number of channels; transparency is laid on `background`.

    An alpha of one value throughout (cameras leave theirs at 0) says nothing, unless nothing else is there. Raises
    DataError where it does, and no background, BGR, was declared.
    """
    if image.ndim == 2 or image.shape[2] == 1:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    if image.shape[2] == 3:
        return cast("NDArray[np.uint8]", image)
    if image.shape[2] != 4:
        raise DataError(f"{image.shape[2]} channels, of which nobody says what they are")
    alpha = image[..., 3]
    colours = np.ascontiguousarray(image[..., :3])
    if alpha.min() == alpha.max():
        if not alpha.any() and not (colours != colours[0, 0]).any():
            raise DataError("all of it is transparent, and behind that it has but one colour")
        return colours
    if background is None:
        raise DataError("it has transparent parts; say what lies behind them: --background white, black or #rrggbb")
    behind = np.array(background, np.float32)
    for top in range(0, len(colours), _ROWS):  # in place, and few at a time: a limit leaves no room for so many floats
        rows = slice(top, top + _ROWS)
        weight = alpha[rows, :, None].astype(np.float32) / 255
        colours[rows] = np.rint(colours[rows] * weight + behind * (1 - weight)).astype(np.uint8)
    return colours
