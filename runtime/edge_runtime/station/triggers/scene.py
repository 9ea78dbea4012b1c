"""The view reduced to a few gray cells, and which of them do not look like the empty view. Cheap: 0.3 ms a picture.

A cell is told by its level and by its texture: fine copper on white has the level of gray rubber, and not its texture.
What the empty view looks like is known of each cell's neighbourhood: a belt with a pattern moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIDE", "Blob", "Box", "Cells", "Empty", "cells_of", "changed"]

SIDE = 64  # cells a side
_SAMPLE = 4  # pixels a side of a cell
_AROUND = 7  # cells a side of the neighbourhood
_LEVELS, _TEXTURES = 5.0, 6.0  # that a cell may differ by besides what the light does
_SURE = 1.6  # of what the light may do: hysteresis; a blob has such a cell, and reaches as far as 1
_CLOSED = 3  # cells: gaps in what is seen of one part
_DRIFT_S = 60.0  # the light of a day is followed so slowly
_SEEN = 0.1  # of the cells must be empty for that


@dataclass(frozen=True, eq=False)
class Cells:
    """Of one picture: means and standard deviations of gray levels, float32 [SIDE, SIDE]."""

    levels: NDArray[np.float32]
    textures: NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """Shares of the view's width and height, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(self.right - self.left, 0.0) * max(self.bottom - self.top, 0.0)

    @property
    def off_centre(self) -> float:
        """How far the middle is from the view's."""
        return max(abs(self.left + self.right - 1.0), abs(self.top + self.bottom - 1.0)) / 2

    @property
    def sides(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.right, self.bottom

    @property
    def at_edge(self) -> tuple[bool, bool, bool, bool]:
        """Which of its sides are the view's, so that it may go on beyond: left, top, right, bottom."""
        near = 1.5 / SIDE
        return self.left < near, self.top < near, self.right > 1 - near, self.bottom > 1 - near

    @property
    def whole(self) -> bool:
        """Whether no end of it is hidden; what is larger than the view never shows both."""
        left, top, right, bottom = self.at_edge
        return left == right and top == bottom

    @property
    def full(self) -> bool:
        """Whether it is all that is seen."""
        return all(self.at_edge)

    def moved(self, right: float, down: float) -> Box:
        return Box(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def shared(self, other: Box) -> float:
        """The area that both have."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area

    def around(self, other: Box) -> Box:
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def grown(self, by: float) -> Box:
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def pixels(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of a picture that it covers."""
        rows = slice(max(round(self.top * height), 0), max(round(self.bottom * height), 0))
        return rows, slice(max(round(self.left * width), 0), max(round(self.right * width), 0))

    def cells(self) -> tuple[slice, slice]:
        """The rows and columns of cells that it covers, one at least."""
        left, right = int(np.clip(self.left * SIDE, 0, SIDE - 1)), int(np.clip(np.ceil(self.right * SIDE), 1, SIDE))
        top, bottom = int(np.clip(self.top * SIDE, 0, SIDE - 1)), int(np.clip(np.ceil(self.bottom * SIDE), 1, SIDE))
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


@dataclass(frozen=True)
class Blob:
    """Something that is not the empty view; `area`: its share of the view."""

    box: Box
    area: float


def cells_of(image: NDArray[np.uint8]) -> Cells:
    """Reduce a picture, uint8 [height, width, 3], BGR."""
    side = SIDE * _SAMPLE
    sample = cv2.resize(image, (side, side), interpolation=cv2.INTER_NEAREST)  # averaging would take the texture away
    gray = cv2.cvtColor(sample, cv2.COLOR_BGR2GRAY).astype(np.float32)
    levels = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    squares = cv2.resize(gray * gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    textures = np.sqrt(np.maximum(squares - levels * levels, 0))
    return Cells(np.asarray(levels, np.float32), np.asarray(textures, np.float32))


def changed(before: Cells, now: Cells, box: Box, light: float) -> float:
    """The share of a box's cells whose level is another than before, beyond what light does that varies by `light`.

    A cell may look as those beside it did: what trembles does.
    """
    place = box.cells()
    old, new = before.levels[place], now.levels[place]
    near = np.ones((3, 3), np.uint8)
    least = cv2.erode(old, near, borderType=cv2.BORDER_REPLICATE)
    most = cv2.dilate(old, near, borderType=cv2.BORDER_REPLICATE)
    away = np.maximum(least - new, new - most)
    return float(np.mean(away > light * np.maximum(most, new) + 2 * _LEVELS))


class Empty:
    """What the view looks like without a part."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], light: float) -> None:
        """`pictures` of the empty view, one at least; `light`: the share by which it varies."""
        cells = [cells_of(picture) for picture in pictures]
        self._levels = _range(np.stack([one.levels for one in cells]))
        self._textures = _range(np.stack([one.textures for one in cells]))
        self._light = light
        self._gain = 1.0

    def blobs(self, cells: Cells, size: float) -> list[Blob]:
        """Return what is in view, of `size` (a share of it) at least."""
        excess = self._excess(cells)
        low = np.asarray(excess > 1.0, np.uint8)
        # Beyond the border nothing is known: the picture goes on there as it ends.
        padded = cv2.copyMakeBorder(low, _CLOSED, _CLOSED, _CLOSED, _CLOSED, cv2.BORDER_REPLICATE)
        joined = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _KERNEL)[_CLOSED:-_CLOSED, _CLOSED:-_CLOSED]
        count, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(joined), connectivity=8)
        sure = set(np.unique(labels[excess > _SURE]).tolist())
        found = []
        for label in range(1, count):
            left, top, width, height, area = (int(value) for value in stats[label])
            if label in sure and area >= size * SIDE * SIDE:
                box = Box(left / SIDE, top / SIDE, (left + width) / SIDE, (top + height) / SIDE)
                found.append(Blob(box, area / SIDE**2))
        return found

    def follow(self, cells: Cells, seconds: float) -> None:
        """Follow the light where the view is empty, slowly."""
        clear = self._excess(cells) <= 1.0
        if np.count_nonzero(clear) < _SEEN * clear.size:
            return
        middle = (self._levels[0] + self._levels[1]) / 2
        gain = float(np.median((cells.levels[clear] + 1.0) / (middle[clear] + 1.0)))
        self._gain += min(seconds / _DRIFT_S, 1.0) * (gain - self._gain)

    def _excess(self, cells: Cells) -> NDArray[np.float32]:
        """How far each cell is from empty ones, in what the light may do; 0: not at all."""
        parts = []
        for own, (least, most), slack in (
            (cells.levels, self._levels, _LEVELS),
            (cells.textures, self._textures, _TEXTURES),
        ):
            least, most = least * self._gain, most * self._gain
            away = np.maximum(least - own, own - most)
            parts.append(away / (slack + self._light * np.maximum(most, 1.0)))
        return np.asarray(np.maximum(parts[0], parts[1]), np.float32)


def _range(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    kernel = np.ones((_AROUND, _AROUND), np.uint8)
    least = cv2.erode(values.min(axis=0), kernel, borderType=cv2.BORDER_REPLICATE)
    most = cv2.dilate(values.max(axis=0), kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(least, np.float32), np.asarray(most, np.float32)


_KERNEL = np.ones((_CLOSED, _CLOSED), np.uint8)
