"""The frames of an animation, each a patch that is laid on what was there before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Canvas", "Patch"]


@dataclass(frozen=True)
class Patch:
    """Where a frame lies, what decodes it, and what becomes of it: `keep`, `clear` or `back` to what was before.

    `blend`: it is laid over the canvas by its transparency; otherwise it takes the place of it.
    """

    left: int
    top: int
    height: int
    width: int
    decode: Callable[[], NDArray[Any]]
    blend: bool
    disposal: str = "keep"


class Canvas:
    """Draws the frames in their order, whichever is asked for."""

    def __init__(self, height: int, width: int, patches: Sequence[Patch]) -> None:
        """Raises DataError for a patch outside of the canvas."""
        if any(p.left + p.width > width or p.top + p.height > height for p in patches):
            raise DataError("a frame of the animation lies outside of it")
        # Encoders begin with a frame of all of it; a damaged header may say any size.
        if 16 * max(p.height * p.width for p in patches) < height * width:
            raise DataError("the animation is damaged: its frames are far smaller than it")
        self._shape, self._patches = (height, width, 4), patches
        self._next = 0
        self._canvas: NDArray[np.uint8] | None = None

    def page(self, number: int) -> NDArray[np.uint8]:
        """Return frame `number` (from 0) as uint8 [height, width, 4]. Raises DataError."""
        if number < self._next or self._canvas is None:
            self._next, self._canvas = 0, np.zeros(self._shape, np.uint8)
        seen = self._canvas
        while self._next <= number:
            seen = _draw(self._canvas, self._patches[self._next])
            self._next += 1
        return seen


def _draw(canvas: NDArray[np.uint8], patch: Patch) -> NDArray[np.uint8]:
    """Lay a patch on the canvas; returns what is seen, and leaves in the canvas what the next one is laid on."""
    rows, columns = slice(patch.top, patch.top + patch.height), slice(patch.left, patch.left + patch.width)
    image = _with_alpha(patch.decode())
    if image.shape[:2] != (patch.height, patch.width):
        raise DataError("a frame of the animation has another size than it says")
    before = canvas[rows, columns].copy()
    canvas[rows, columns] = _over(image, before) if patch.blend else image
    seen: NDArray[np.uint8] = canvas.copy()
    if patch.disposal == "clear":
        canvas[rows, columns] = 0
    elif patch.disposal == "back":
        canvas[rows, columns] = before
    return seen


def _with_alpha(image: NDArray[Any]) -> NDArray[np.uint8]:
    image = np.asarray(image >> 8, np.uint8) if image.dtype == np.uint16 else image
    if image.ndim == 2 or image.shape[2] == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGRA))
    return np.asarray(image if image.shape[2] == 4 else cv2.cvtColor(image, cv2.COLOR_BGR2BGRA))


def _over(front: NDArray[np.uint8], back: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Porter and Duff's "over" of two pictures whose colours are not multiplied by their alpha."""
    if front[..., 3].min() == 255:
        return np.asarray(front)
    above, below = front[..., 3:].astype(np.float32) / 255, back[..., 3:].astype(np.float32) / 255
    alpha = above + below * (1 - above)
    colours = front[..., :3] * above + back[..., :3] * (below * (1 - above))
    colours /= np.maximum(alpha, 1e-6)
    return np.asarray(np.concatenate([np.rint(colours), np.rint(alpha * 255)], axis=2), np.uint8)
