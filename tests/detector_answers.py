"""What a detector would answer to a picture with known objects, in any format of Detect: the way back from the readers.

Written from the formats' documentation, not from the readers. Rows without an object score next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Column, Detect

__all__ = ["Thing", "answers"]

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]
_NOTHING = 0.0005  # the score of a row without an object


@dataclass(frozen=True)
class Thing:
    """An object: x1 y1 x2 y2 in input pixels, its score and class, and points x y."""

    box: tuple[float, float, float, float]
    score: float
    class_id: int
    points: tuple[tuple[float, float], ...] = field(default=())

    @property
    def centre(self) -> tuple[float, float]:
        """Of its box."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def answers(post: Detect, shapes: Shapes, things: Sequence[Thing], size: tuple[int, int]) -> dict[str, Array]:
    """The outputs, in the order and with the shapes of the graph, for an input of `size` (width, height)."""
    names = post.outputs or tuple(shapes)
    if post.format in ("anchors", "fastest-v2", "distances", "fastest", "grid"):
        found = _heads(post, {name: shapes[name] for name in names}, things, size)
    elif post.format == "boxes-scores":
        found = _boxes_scores(post, names, shapes, things, size)
    elif post.format in ("final-split", "final-labels"):
        found = _finished(post, names, shapes, things, size)
    else:
        found = _rows(post, names, shapes, things, size)
    return {name: found[name] if name in found else _beside(post, name, shapes[name], things) for name in shapes}


def _beside(post: Detect, name: str, shape: tuple[int, ...], things: Sequence[Thing]) -> Array:
    """An output that says more of each thing: its points, or a mask that fills its box."""
    array = np.ones([size or len(things) for size in shape], np.float32)
    if post.points is not None and post.points.output == name:
        array[..., : len(things), :, :2] = [thing.points for thing in things]
    return array


def _logit(score: float) -> float:
    score = min(max(score, 1e-4), 1 - 1e-4)
    return math.log(score / (1 - score))


def _box(post: Detect, thing: Thing, size: tuple[int, int]) -> list[float]:
    x1, y1, x2, y2 = thing.box
    order = post.box_order
    values = [x1, y1, x2, y2]
    if order == "cxcywh":
        values = [*thing.centre, x2 - x1, y2 - y1]
    if post.normalized:
        values = [value / side for value, side in zip(values, (*size, *size), strict=True)]
    return [values[index] for index in (1, 0, 3, 2)] if order == "yxyx" else values


def _scores(post: Detect, thing: Thing | None, classes: int) -> list[float]:
    """Class scores of a row as its last layer gives them, less an activation that is missing."""
    scores = [_NOTHING] * classes
    if thing is not None:
        scores[thing.class_id + post.first_class] = thing.score
    if post.activation == "sigmoid":
        return [_logit(score) for score in scores]
    if post.background == "none" and post.activation == "softmax":
        share = (1 - thing.score) / (classes - 1) if thing is not None else 1 / classes
        return [math.log(max(score, share)) for score in scores]
    if post.background == "none":
        return scores
    rest = 1 - sum(scores)
    full = [rest, *scores] if post.background == "first" else [*scores, rest]
    return [math.log(max(score, 1e-6)) for score in full] if post.activation == "softmax" else full


def _rows(
    post: Detect, names: Sequence[str], shapes: Shapes, things: Sequence[Thing], size: tuple[int, int]
) -> dict[str, Array]:
    shape = shapes[names[0]]
    finished = post.format == "final"
    turned = post.column_axis == 1 and not finished
    columns, count = (shape[1], shape[2]) if turned else (shape[-1], shape[-2])
    classes = columns - post.row_values - (post.background != "none")
    rows = []
    for index in range(len(things) if finished and count == 0 else count):
        thing = things[index] if index < len(things) else None
        rows.append([value for column in post.row for value in _column(post, column, thing, classes, size)])
    table = np.array(rows, np.float32).reshape(-1, columns)
    found = {names[0]: (table.T if turned else table).reshape(shape[:-2] + (table.T if turned else table).shape)}
    if len(names) > 1 and "score" not in post.row:
        found[names[1]] = np.array([[thing.score] for thing in things], np.float32).reshape(-1, 1)
    elif len(names) > 1:
        found[names[1]] = np.array([len(things)], np.int32)
    return found


def _column(post: Detect, column: Column, thing: Thing | None, classes: int, size: tuple[int, int]) -> list[float]:
    if column == "classes":
        return _scores(post, thing, classes)
    if column == "box":
        return _box(post, thing, size) if thing is not None else [0.0] * 4
    if column == "objectness":
        return [1.0 if thing is not None else _NOTHING]
    if column == "score":
        return [thing.score if thing is not None else 0.0]
    if column == "class":
        return [float(thing.class_id + post.first_class) if thing is not None else 0.0]
    if column == "points" and post.points is not None:
        places = thing.points if thing is not None else ((0.0, 0.0),) * post.points.count
        return [value for x, y in places for value in (x, y, 0.9)[: post.points.values]]
    return [0.0] * post.values_of(column)


def _boxes_scores(
    post: Detect, names: Sequence[str], shapes: Shapes, things: Sequence[Thing], size: tuple[int, int]
) -> dict[str, Array]:
    boxes = np.zeros(shapes[names[0]], np.float32)
    shape = shapes[names[1]]
    turned = shape[1] != boxes.shape[1]
    classes = shape[1 if turned else 2] - (post.background != "none")
    scores = np.tile(np.array(_scores(post, None, classes), np.float32), (boxes.shape[1], 1))
    for index, thing in enumerate(things):
        boxes[0, index] = _box(post, thing, size)
        scores[index] = _scores(post, thing, classes)
    return {names[0]: boxes, names[1]: (scores.T if turned else scores)[None]}


def _finished(
    post: Detect, names: Sequence[str], shapes: Shapes, things: Sequence[Thing], size: tuple[int, int]
) -> dict[str, Array]:
    """A length of 0 stands for as many rows as there are things."""
    length = shapes[names[0]][-2] or len(things)
    width = shapes[names[0]][-1]
    batch = shapes[names[0]][:-2]
    boxes = np.zeros((length, width), np.float32)
    scores, classes = np.zeros(length, np.float32), np.zeros(length, np.int64)
    for index, thing in enumerate(things):
        boxes[index, :4], scores[index] = _box(post, thing, size), thing.score
        classes[index] = thing.class_id + post.first_class
    if post.format == "final-labels":
        boxes[:, 4] = scores
        return {names[0]: boxes.reshape(*batch, length, 5), names[1]: classes.reshape(*batch, length)}
    parts = (boxes.reshape(*batch, length, 4), classes.reshape(*batch, length), scores.reshape(*batch, length))
    found: dict[str, Array] = dict(zip(names, parts, strict=False))
    if len(names) > 3:
        found[names[3]] = np.array([len(things)], np.int32).reshape(shapes[names[3]])
    return found


def _heads(post: Detect, shapes: Shapes, things: Sequence[Thing], size: tuple[int, int]) -> dict[str, Array]:
    """Each thing is told by the cell that its centre lies in, of the stride that suits its size."""
    strides = post.strides or (size[0] // next(iter(shapes.values()))[-1],)
    anchors = max(len(post.anchors) // (2 * len(strides)), 1)
    grids = [(-(-size[1] // stride), -(-size[0] // stride)) for stride in strides]
    each = 2 if post.format == "distances" and _each_cell_has_two(post, shapes, grids) else anchors
    parts: list[dict[str, Array]] = []
    for level, (stride, (height, width)) in enumerate(zip(strides, grids, strict=True)):
        sizes = np.array(post.anchors, np.float64).reshape(len(strides), -1, 2)[level] if post.anchors else None
        here = [thing for thing in things if _level(thing, strides) == level]
        parts.append(_level_parts(post, shapes, here, stride, (height, width), each, sizes))
    return _left_as(post, shapes, parts, grids, each)


def _level(thing: Thing, strides: Sequence[int]) -> int:
    side = max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1])
    return min(range(len(strides)), key=lambda level: abs(side - 4 * strides[level]))


def _each_cell_has_two(post: Detect, shapes: Shapes, grids: Sequence[tuple[int, int]]) -> bool:
    rows = {shape[-2] for shape in shapes.values()}
    return {2 * height * width for height, width in grids} == rows


def _classes_of(post: Detect, shapes: Shapes, anchors: int) -> int:
    """The classes that the shapes leave."""
    known = post.row_values
    widest = max(shapes.values(), key=lambda shape: -min(shape[1:]))
    if len(shapes) > 1 and post.columns:
        return 1
    name, shape = next(iter(shapes.items()))
    del name
    if post.format == "fastest":
        return shape[1] - 5
    if post.format == "fastest-v2":
        return shape[3] - 15 if len(shapes) == 2 else list(shapes.values())[2][1]
    if post.format == "distances" and len(shapes) > 1:
        return shape[-1]
    if len(shape) == 5:
        return shape[-1] - known
    if len(shape) == 4:
        return shape[1] // anchors - known
    return (widest[1] if post.column_axis == 1 else widest[-1]) - known


def _level_parts(
    post: Detect,
    shapes: Shapes,
    things: Sequence[Thing],
    stride: int,
    grid: tuple[int, int],
    each: int,
    sizes: Array | None,
) -> dict[str, Array]:
    """The parts of every row of a stride, [H, W, anchors, .]."""
    classes = _classes_of(post, shapes, each)
    rows: dict[str, Array] = {
        "box": np.zeros((*grid, each, 4 * post.bins)),
        "classes": np.tile(np.array(_scores(post, None, classes)), (*grid, each, 1)),
        "score": np.full((*grid, each, 1), _NOTHING),
        "objectness": np.full((*grid, each, 1), _logit(_NOTHING) if post.activation != "none" else _NOTHING),
        "points": np.zeros((*grid, each, post.points.count * post.points.values if post.points else 0)),
    }
    for thing in things:
        x, y = (int(value / stride) for value in thing.centre)
        where = (y, x, each - 1)
        box, points = _told(post, thing, stride, (x, y), None if sizes is None else sizes[each - 1])
        rows["box"][where], rows["points"][where] = box, points
        score = thing.score**2 if post.combine == "root" else thing.score
        if post.format == "fastest":  # score = objectness^0.6 * class^0.4
            rows["objectness"][where] = rows["classes"][where][thing.class_id] = thing.score
            continue
        if post.format == "fastest-v2":  # one set for the cell
            rows["objectness"][where] = _logit(0.999) if post.activation == "softmax" else 0.999
            rows["classes"][y, x] = _scores(post, Thing(thing.box, score / 0.999, thing.class_id), classes)
            continue
        rows["objectness"][where] = _logit(1.0) if post.activation == "sigmoid" else 1.0
        rows["classes"][where] = _scores(post, Thing(thing.box, score, thing.class_id), classes)
        rows["score"][where] = thing.score
    return rows


def _told(
    post: Detect, thing: Thing, stride: int, cell: tuple[int, int], anchor: Array | None
) -> tuple[list[float], list[float]]:
    """A box and points as values of the row at `cell`."""
    (x1, y1, x2, y2), (cx, cy), (gx, gy) = thing.box, thing.centre, cell
    if post.format == "distances":
        px, py = (gx + post.centre) * stride, (gy + post.centre) * stride
        sides = [(px - x1) / stride, (py - y1) / stride, (x2 - px) / stride, (y2 - py) / stride]
        points = [value for x, y in thing.points for value in ((x - px) / stride, (y - py) / stride)]
        return [value for side in sides for value in _bins(side, post.bins)], points
    if anchor is not None:
        told = [(cx / stride - gx + 0.5) / 2, (cy / stride - gy + 0.5) / 2]
        told += [math.sqrt((x2 - x1) / anchor[0]) / 2, math.sqrt((y2 - y1) / anchor[1]) / 2]
        told = [_logit(value) for value in told] if post.activation != "none" else told
        places = ((x - gx * stride, y - gy * stride) for x, y in thing.points)
        return told, [value for x, y in places for value in (x / anchor[0], y / anchor[1])]
    if post.format == "fastest":
        return [math.atanh(cx / stride - gx), math.atanh(cy / stride - gy), x2 - x1, y2 - y1], []
    points = [value for x, y in thing.points for value in (x / stride - gx, y / stride - gy)]
    return [cx / stride - gx, cy / stride - gy, math.log((x2 - x1) / stride), math.log((y2 - y1) / stride)], points


def _bins(distance: float, bins: int) -> list[float]:
    """Logits whose softmax has `distance` as its mean: two neighbours share it."""
    if bins == 1:
        return [distance]
    low = min(int(distance), bins - 2)
    weights = [1e-6] * bins
    weights[low], weights[low + 1] = max(1 - (distance - low), 1e-6), max(distance - low, 1e-6)
    return [math.log(weight) for weight in weights]


def _left_as(
    post: Detect, shapes: Shapes, parts: Sequence[dict[str, Array]], grids: Sequence[tuple[int, int]], each: int
) -> dict[str, Array]:
    """The heads as the graph leaves them: merged, by stride, or cut in parts."""
    names = list(shapes)
    if post.format == "fastest":
        (part,), (height, width) = parts, grids[0]
        sizes = part["box"][..., 2:].copy()
        filled = sizes[..., 0] > 0
        sizes[..., 0] = np.where(filled, sizes[..., 0], 1) / (width * 16)
        sizes[..., 1] = np.where(filled, sizes[..., 1], 1) / (height * 16)
        box = np.concatenate([part["box"][..., :2], np.log(sizes / (1 - sizes))], axis=-1)
        whole = np.concatenate([part["objectness"], box, part["classes"]], axis=-1)[:, :, 0]
        return {names[0]: whole.transpose(2, 0, 1)[None].astype(np.float32)}
    if post.format == "fastest-v2":
        merged = len(names) == 2
        found = {}
        for level, part in enumerate(parts):
            height, width = grids[level]
            cut = [part["box"].reshape(height, width, -1), part["objectness"][..., 0], part["classes"][:, :, 0]]
            if merged:
                found[names[level]] = np.concatenate(cut, axis=-1)[None].astype(np.float32)
            else:
                for name, array in zip(names[3 * level : 3 * level + 3], cut, strict=True):
                    found[name] = array.transpose(2, 0, 1)[None].astype(np.float32)
        return found
    rows = [np.concatenate([part[column] for column in post.row], axis=-1) for part in parts]
    if len(names) == 1:
        flat = [row.transpose(2, 0, 1, 3).reshape(-1, row.shape[-1]) for row in rows]
        whole = np.concatenate(flat)
        shape = shapes[names[0]]
        return {names[0]: (whole if whole.shape == shape[1:] else whole.T)[None].astype(np.float32)}
    found = {}
    if len(names) == len(parts):
        for name, row in zip(names, rows, strict=True):
            array = row.transpose(2, 0, 1, 3)  # anchors H W .
            array = array if len(shapes[name]) == 5 else array.transpose(0, 3, 1, 2).reshape(-1, *array.shape[1:3])
            found[name] = array[None].astype(np.float32)
        return found
    for index, name in enumerate(names):
        column, level = post.row[index // len(parts)], index % len(parts)
        flat_part = parts[level][column].reshape(-1, parts[level][column].shape[-1])
        found[name] = flat_part.reshape(shapes[name]).astype(np.float32)
    return found
