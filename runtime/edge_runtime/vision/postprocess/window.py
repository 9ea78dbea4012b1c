"""A map of the model (a mask, a heat map) laid over the original image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Box
from edge_runtime.vision.placement import Placement

__all__ = ["MOST_REGIONS", "Region", "Window"]

MOST_REGIONS = 1000


@dataclass(frozen=True)
class Region:
    """A connected part of a map: its box in original pixels and its fraction of the image.

    `rows` and `columns` are its bounding box in the mask that was searched, `inside` its cells in there.
    """

    box: Box
    area: float
    rows: slice
    columns: slice
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """The part of a map of `map_height` x `map_width` cells that shows the image, without the padding.

    A map coordinate u is original x * step_x + start_x, in cells; cell i covers i..i+1, pixel j covers
    j..j+1.
    """

    place: Placement
    map_height: int
    map_width: int

    @property
    def step(self) -> tuple[float, float]:
        """Map cells per original pixel, x and y."""
        place = self.place
        return (
            place.scale_x * self.map_width / place.input_width,
            place.scale_y * self.map_height / place.input_height,
        )

    @property
    def start(self) -> tuple[float, float]:
        """Where the original image's left top corner lies, in map cells, x and y."""
        place = self.place
        return (
            place.offset_x * self.map_width / place.input_width,
            place.offset_y * self.map_height / place.input_height,
        )

    @property
    def cells(self) -> tuple[slice, slice]:
        """Rows and columns of the map whose centres lie in the image; at least one of each."""
        spans = []
        for start, step, size, limit in zip(
            self.start,
            self.step,
            (self.place.width, self.place.height),
            (self.map_width, self.map_height),
            strict=True,
        ):
            first = min(max(math.ceil(start - 0.5), 0), limit - 1)
            last = min(max(math.ceil(start + step * size - 0.5), first + 1), limit)
            spans.append(slice(first, last))
        return spans[1], spans[0]

    def nearest(self, cells: NDArray[np.uint8], outside: int) -> NDArray[np.uint8]:
        """The whole map [H, W] in the original's size; pixels that a centre crop cut off become `outside`."""
        columns, rows = self._indices()
        result = cells.take(rows.clip(0, self.map_height - 1), 0).take(columns.clip(0, self.map_width - 1), 1)
        return self._outside(result, outside)

    def smooth(self, cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same, interpolated between the cells' centres, 0 outside."""
        (step_x, step_y), (start_x, start_y) = self.step, self.start
        back = np.array([[step_x, 0, step_x / 2 + start_x - 0.5], [0, step_y, step_y / 2 + start_y - 0.5]], np.float64)
        size = (self.place.width, self.place.height)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        result = cv2.warpAffine(cells, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return self._outside(np.asarray(result, np.uint8), 0)

    def regions(self, chosen: NDArray[np.bool_], min_area: float) -> Iterator[Region]:
        """The connected parts (8 neighbours) of `chosen`, a mask of `cells`' size, largest first.

        Parts below `min_area`, a fraction of the original image, are left out, and so are those beyond the
        largest MOST_REGIONS: noise has a hundred thousand of them. One part's cells are held at a time.
        """
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(chosen.astype(np.uint8), connectivity=8)
        (step_x, step_y), (start_x, start_y), (rows, columns) = self.step, self.start, self.cells
        width, height = self.place.width, self.place.height
        largest = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST_REGIONS] + 1
        for number in largest.tolist():
            left, top, across, down, size = (int(value) for value in stats[number])
            area = min(size / (step_x * step_y * width * height), 1.0)
            if area < min_area:
                return
            inside_rows, inside_columns = slice(top, top + down), slice(left, left + across)
            left, top = left + columns.start, top + rows.start
            box = Box(
                x1=min(max((left - start_x) / step_x, 0.0), width),
                y1=min(max((top - start_y) / step_y, 0.0), height),
                x2=min(max((left + across - start_x) / step_x, 0.0), width),
                y2=min(max((top + down - start_y) / step_y, 0.0), height),
            )
            inside = np.asarray(numbers[inside_rows, inside_columns] == number)
            yield Region(box, area, inside_rows, inside_columns, inside)

    def _indices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        (step_x, step_y), (start_x, start_y) = self.step, self.start
        columns = np.floor((np.arange(self.place.width) + 0.5) * step_x + start_x).astype(np.int64)
        rows = np.floor((np.arange(self.place.height) + 0.5) * step_y + start_y).astype(np.int64)
        return columns, rows

    def _outside(self, image: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
        columns, rows = self._indices()
        image[(rows < 0) | (rows >= self.map_height)] = value
        image[:, (columns < 0) | (columns >= self.map_width)] = value
        return image
