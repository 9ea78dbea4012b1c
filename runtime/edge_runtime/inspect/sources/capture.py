"""A scripted capture in the place of OpenCV's VideoCapture, so that its decoder can be tested without a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FakeCapture"]


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
