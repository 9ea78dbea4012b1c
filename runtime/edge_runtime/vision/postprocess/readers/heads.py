"""The outputs of detectors with a head for each stride, brought to one form: rows at the cells of a grid.

An exporter may leave a head as the convolution made it, turn it, flatten it, cut it in its parts, or put all heads
together. Which it did is told by shapes: those of the grids are known from the input's size and the strides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Column, Detect
from edge_runtime.errors import EngineError
from edge_runtime.vision.postprocess.candidates import Question, misshaped
from edge_runtime.vision.postprocess.grid import grid_points
from edge_runtime.vision.postprocess.readers.columns import split_columns

__all__ = ["Cells", "Head", "anchor_sizes", "cells_of", "count_anchors", "heads"]

Floats = NDArray[np.float32]
# Anchors of a cell that flattened heads are tried with: one for most, two for SCRFD, three for YOLOv5.
_ANCHORS = (1, 2, 3)


@dataclass(frozen=True)
class Head:
    """A stride's rows: `parts` are [R, .], `points` gx gy stride [R, 3], `anchors` widths and heights [R, 2] or [0, 2].

    `outputs` are the places of the outputs that hold the parts.
    """

    parts: dict[Column, Floats]
    points: Floats
    anchors: Floats
    outputs: dict[Column, int]


@dataclass(frozen=True)
class Cells:
    """An output [cells, anchors * width] of the stride at `level`: the anchors' rows of a cell side by side."""

    level: int
    values: Floats
    anchors: int
    output: int


def heads(ask: Question, tensors: Sequence[Floats], columns: Sequence[Column]) -> Iterator[Head]:
    """Yield the heads of one image, strides in order.

    Raises EngineError for outputs that do not fit the input's size, the strides and the columns.
    """
    for level, found in enumerate(cells_of(ask, tensors)):
        points = grid_points(ask.place.input_width, ask.place.input_height, (ask.spec.strides[level],))
        yield _head(ask, level, points, found, columns)


def cells_of(ask: Question, tensors: Sequence[Floats]) -> list[list[Cells]]:
    """The outputs of each stride, in the order they have."""
    placed = _merged(ask, tensors[0]) if len(tensors) == 1 and len(ask.spec.strides) > 1 else _placed(ask, tensors)
    return [[cells for cells in placed if cells.level == level] for level in range(len(ask.spec.strides))]


def _head(ask: Question, level: int, points: Floats, found: Sequence[Cells], columns: Sequence[Column]) -> Head:
    parts: dict[Column, Floats] = {}
    outputs: dict[Column, int] = {}
    if len(found) == 1:
        anchors = found[0].anchors
        parts = split_columns(ask, _rows(ask, found[0], anchors), columns, found[0].output)
        outputs = dict.fromkeys(columns, found[0].output)
    elif len(found) == len(columns):
        box = found[columns.index("box")].values
        anchors = count_anchors(ask.spec) or max(box.shape[1] // (4 * ask.spec.bins), 1)
        for part, cells in zip(columns, found, strict=True):
            parts |= split_columns(ask, _rows(ask, cells, anchors), (part,), cells.output)
            outputs[part] = cells.output
    else:
        raise EngineError(
            f"expected 1 or {len(columns)} outputs ({' '.join(columns)}) for stride {ask.spec.strides[level]}, "
            f"found {len(found)}; export again with the right --outputs"
        )
    if anchors > 1:
        points = np.repeat(points, anchors, axis=0)
    return Head(parts, points, anchor_sizes(ask.spec, level, len(points) // anchors), outputs)


def anchor_sizes(spec: Detect, level: int, cells: int) -> Floats:
    """Width and height of each anchor of each cell of a stride, [cells * anchors, 2]; [0, 2] without sizes."""
    sizes = np.array(spec.anchors, np.float32).reshape(len(spec.strides), -1, 2)[level]
    return np.tile(sizes, (cells, 1))


def _rows(ask: Question, cells: Cells, anchors: int) -> Floats:
    if cells.values.shape[1] % anchors:
        raise misshaped(ask, cells.values, f"{anchors} anchors for each of {len(cells.values)} cells", cells.output)
    return cells.values.reshape(len(cells.values) * anchors, -1)


def _merged(ask: Question, tensor: Floats) -> list[Cells]:
    """The heads of one output [rows of all strides, .], or turned."""
    cells = [rows * columns for rows, columns in _grids(ask)]
    for anchors in (count_anchors(ask.spec),) if ask.spec.anchors else _ANCHORS:
        total = sum(cells) * anchors
        if tensor.ndim != 2 or total not in tensor.shape:
            continue
        last = ask.spec.axis == "channels-first" if tensor.shape == (total, total) else tensor.shape[1] == total
        rows = tensor.T if last else tensor
        ends = np.cumsum(cells) * anchors
        return [
            Cells(level, _side_by_side(ask.spec, rows[end - count * anchors : end], anchors), anchors, 0)
            for level, (count, end) in enumerate(zip(cells, ends.tolist(), strict=True))
        ]
    raise _unfit(ask, [tensor])


def _placed(ask: Question, tensors: Sequence[Floats]) -> list[Cells]:
    """The stride that each output belongs to, told by its number of cells."""
    levels = set(range(len(ask.spec.strides)))
    for anchors in (count_anchors(ask.spec),) if ask.spec.anchors else _ANCHORS:
        placed = [_place(ask, tensor, anchors, output) for output, tensor in enumerate(tensors)]
        found = [cells for cells in placed if cells is not None]
        if len(found) == len(tensors) and {cells.level for cells in found} == levels:
            return found
    raise _unfit(ask, tensors)


def _place(ask: Question, tensor: Floats, anchors: int, output: int) -> Cells | None:
    """The stride of one output, and its values cell by cell; None where it fits no stride.

    The declared axis counts where a tiny grid fits the other way round too.
    """
    first = ask.spec.axis == "channels-first"
    for turned in (first, not first):
        for level, (height, width) in enumerate(_grids(ask)):
            found = _cells_in(ask, tensor, (height, width), turned, anchors)
            if found is not None:
                return Cells(level, *found, output)
    return None


def _cells_in(
    ask: Question, tensor: Floats, grid: tuple[int, int], turned: bool, anchors: int
) -> tuple[Floats, int] | None:
    """An output as values [cells, .] of a grid, and the anchors of a cell. `turned`: the cells come last."""
    shape, cells = tensor.shape, grid[0] * grid[1]
    if tensor.ndim == 4:
        if shape[1:3] == grid:  # [anchors, H, W, .]
            return tensor.transpose(1, 2, 0, 3).reshape(cells, -1), shape[0]
        if shape[2:] == grid:  # [anchors, ., H, W]
            return tensor.reshape(-1, cells).T, shape[0]
        if shape[:2] == grid:  # [H, W, anchors, .]
            return tensor.reshape(cells, -1), shape[2]
    elif tensor.ndim == 3 and (shape[1:] if turned else shape[:2]) == grid:
        return tensor.reshape(-1, cells).T if turned else tensor.reshape(cells, -1), count_anchors(ask.spec) or 1
    elif tensor.ndim == 2 and shape[1 if turned else 0] == cells * anchors:
        return _side_by_side(ask.spec, tensor.T if turned else tensor, anchors), anchors
    return None


def _side_by_side(spec: Detect, rows: Floats, anchors: int) -> Floats:
    """Rows [cells * anchors, .] as [cells, anchors * .].

    Heads with sizes of anchors are flattened anchor by anchor (YOLOv5, models/yolo.py), others cell by cell (SCRFD).
    """
    if anchors > 1 and spec.anchors:
        rows = rows.reshape(anchors, len(rows) // anchors, -1).transpose(1, 0, 2)
    return rows.reshape(rows.shape[0] if rows.ndim == 3 else len(rows) // anchors, -1)


def count_anchors(spec: Detect) -> int:
    """How many anchors a cell has by their sizes, 0 where they have none."""
    return len(spec.anchors) // (2 * max(len(spec.strides), 1))


def _grids(ask: Question) -> list[tuple[int, int]]:
    """Rows and columns of each stride's grid; padded convolutions of stride 2 round up."""
    width, height = ask.place.input_width, ask.place.input_height
    return [(-(-height // stride), -(-width // stride)) for stride in ask.spec.strides]


def _unfit(ask: Question, tensors: Sequence[Floats]) -> EngineError:
    grids = ", ".join(f"{width}x{height}" for height, width in _grids(ask))
    shapes = ", ".join(str(["N", *tensor.shape]) for tensor in tensors[:12])
    return EngineError(
        f"expected heads of {grids or 'no'} cells for {ask.place.input_width}x{ask.place.input_height} pixels and "
        f"strides {list(ask.spec.strides)} ({ask.spec.format}), found outputs {shapes}; "
        f"export again with the right --size, --strides or --outputs"
    )
