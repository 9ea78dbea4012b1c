"""The pixels of detected objects: masks out of prototypes, or of maps of the objects' own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Masks
from edge_runtime.errors import EngineError
from edge_runtime.results import Mask
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.tensors import activate, check_finite
from edge_runtime.vision.postprocess.window import Window

__all__ = ["MOST_MASK_PIXELS", "check_maps", "masks_of"]

Floats = NDArray[np.float32]

# One picture's masks hold so many pixels together, a byte each; the least certain objects beyond have none.
MOST_MASK_PIXELS = 128 << 20
_STRIP = 64  # rows that are interpolated at a time


@dataclass(frozen=True)
class _Axis:
    """Between which cells pixels lie: cell `first` and `second`, and how far from the first, 0..1."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    part: Floats

    @staticmethod
    def of(start: int, end: int, step: float, offset: float, cells: int) -> _Axis:
        """Pixels start..end, whose centres lie at (pixel + 0.5) * step + offset; cell i covers i..i+1."""
        where = np.clip((np.arange(start, end) + 0.5) * step + offset - 0.5, 0, cells - 1)
        first = np.floor(where).astype(np.int64)
        return _Axis(first, np.minimum(first + 1, cells - 1), (where - first).astype(np.float32))

    @property
    def cells(self) -> slice:
        """The cells that are needed at all."""
        return slice(int(self.first[0]), int(self.second[-1]) + 1)


def check_maps(spec: Masks, maps: NDArray[np.generic]) -> NDArray[np.generic]:
    """One image's maps as [count or K, h, w]: prototypes may have their channels last, a row's map one channel."""
    if spec.kind == "prototypes" and maps.ndim == 3 and maps.shape[0] != spec.count == maps.shape[2]:
        maps = maps.transpose(2, 0, 1)
    if spec.kind != "prototypes" and maps.ndim == 4 and maps.shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim != 3 or (spec.kind == "prototypes" and maps.shape[0] != spec.count):
        wanted = f"[N, {spec.count}, h, w]" if spec.kind == "prototypes" else "[N, K, h, w]"
        raise EngineError(
            f"expected masks {wanted} in output {spec.output!r}, found {['N', *maps.shape]}; export again with the "
            f"right layout of masks"
        )
    return maps


def masks_of(
    spec: Masks,
    maps: NDArray[np.generic],
    which: NDArray[np.generic],
    boxes: Floats,
    place: Placement,
) -> Iterator[Mask | None]:
    """The mask of each box x1 y1 x2 y2 in original pixels, [K, 4], which may reach beyond the picture.

    `maps` is what check_maps gives; `which` are weights of prototypes [K, count], or numbers of the boxes' maps [K].
    Values (sums of prototypes, or what the activation makes of these: `spec.enlarged`) are interpolated between the
    centres of cells to the centres of the original's pixels, then compared.
    """
    if spec.kind != "prototypes" and int(which.max()) >= len(maps):
        raise EngineError(
            f"expected a mask for each of {int(which.max()) + 1} rows or more in output {spec.output!r}, "
            f"found {len(maps)}; export again with the right output of masks"
        )
    left = MOST_MASK_PIXELS
    # Whole numbers are what a graph compared or rounded itself: 0 and 1, or 0..255.
    one = 255.0 if maps.dtype.kind in "iu" and maps.size and int(maps.max()) > 1 else 1.0
    for index, box in enumerate(boxes.astype(np.float64).tolist()):
        x1, x2 = _pixels(box[0], box[2], place.width)
        y1, y2 = _pixels(box[1], box[3], place.height)
        left -= (x2 - x1) * (y2 - y1)
        if left < 0:
            yield None
        elif spec.kind == "boxes":
            yield Mask(x1, y1, _of_box(spec, _floats(spec, maps[int(which[index])], one), box, (x1, y1, x2, y2)))
        else:
            window = Window(place, maps.shape[1], maps.shape[2])
            across = _Axis.of(x1, x2, window.step[0], window.start[0], maps.shape[2])
            down = _Axis.of(y1, y2, window.step[1], window.start[1], maps.shape[1])
            if spec.kind == "image":
                cells = _floats(spec, maps[int(which[index]), down.cells, across.cells], one)
            else:
                cells = np.tensordot(which[index], _floats(spec, maps[:, down.cells, across.cells], one), 1)
                if spec.enlarged == "scores":
                    cells = activate(cells, spec.activation, axis=0)
            yield Mask(x1, y1, _above(cells, _moved(down), _moved(across), _threshold(spec)))


def _pixels(first: float, last: float, size: int) -> tuple[int, int]:
    """The pixels whose centres lie between two coordinates; at least one of the picture's."""
    start = min(max(math.ceil(first - 0.5), 0), size - 1)
    return start, min(max(math.ceil(last - 0.5), start + 1), size)


def _floats(spec: Masks, values: NDArray[np.generic], one: float) -> Floats:
    found = values.astype(np.float32, copy=False)
    check_finite(found, spec.output)
    return found if one == 1.0 else found / np.float32(one)


def _threshold(spec: Masks) -> float:
    """Above which value a pixel belongs to the object: the logistic function is not needed to compare."""
    if spec.activation == "none" or (spec.kind == "prototypes" and spec.enlarged == "scores"):
        return spec.threshold
    if not 0 < spec.threshold < 1:
        return math.inf if spec.threshold else -math.inf
    return math.log(spec.threshold / (1 - spec.threshold))


def _of_box(spec: Masks, cells: Floats, box: list[float], bounds: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The map of a box stretched over it, with zeros around, as the reference does (arXiv 1703.06870; torchvision)."""
    height, width = cells.shape
    padded = np.pad(activate(cells, spec.activation, axis=0), 1)
    step_x, step_y = width / max(box[2] - box[0], 1e-6), height / max(box[3] - box[1], 1e-6)
    across = _Axis.of(bounds[0], bounds[2], step_x, 1 - box[0] * step_x, width + 2)
    down = _Axis.of(bounds[1], bounds[3], step_y, 1 - box[1] * step_y, height + 2)
    return _above(padded, down, across, spec.threshold)


def _moved(axis: _Axis) -> _Axis:
    """The axis of the cells that it needs alone."""
    start = axis.cells.start
    return _Axis(axis.first - start, axis.second - start, axis.part)


def _above(cells: Floats, down: _Axis, across: _Axis, threshold: float) -> NDArray[np.bool_]:
    """Where `cells`, interpolated at each pixel, are above the threshold; a few rows at a time."""
    wide = cells[:, across.first]
    wide += (cells[:, across.second] - wide) * across.part
    inside = np.empty((len(down.first), len(across.first)), np.bool_)
    for start in range(0, len(inside), _STRIP):
        rows = slice(start, start + _STRIP)
        upper, lower = wide[down.first[rows]], wide[down.second[rows]]
        lower -= upper
        lower *= down.part[rows, None]
        lower += upper
        np.greater(lower, threshold, out=inside[rows])
    return inside
