"""A row per box: Ultralytics' and YOLOv5's decoded outputs, and what else a row may hold (Detect.row)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Column
from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped, to_pixels
from edge_runtime.vision.postprocess.readers.columns import split_columns
from edge_runtime.vision.postprocess.readers.scores import best_classes, told_classes

__all__ = ["rows_of", "scored", "with_parts", "yolo"]

Floats = NDArray[np.float32]
Parts = dict[Column, Floats]


def yolo(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    rows = rows_of(ask, tensors[0])
    parts = split_columns(ask, rows, ask.spec.row)
    kept, scores, classes = scored(ask, parts)
    found = Candidates(to_pixels(ask, parts["box"][kept]), scores, classes, rows=kept)
    return with_parts(ask, found, parts)


def rows_of(ask: Question, array: Floats, anchors: int | None = None) -> Floats:
    """A view of `array` as one row per anchor.

    The declared axis decides, unless the number of anchors or of labels fits only the other way round.
    """
    spec, fixed = ask.spec, ask.spec.row_values
    scores = "classes" in spec.row
    if array.ndim != 2 or min(array.shape) < 1:
        width = f"{fixed}+C" if scores else str(fixed)
        raise misshaped(ask, array, f"[N, {width}, A] or [N, A, {width}]")
    turned = spec.column_axis == 1
    first, last = array.shape
    columns = fixed + (ask.labels + (spec.background != "none") + spec.first_class if scores else 0)
    if anchors is not None and (first == anchors) != (last == anchors):
        turned = last == anchors
    elif (ask.labels or not scores) and (first == columns) != (last == columns):
        turned = first == columns
    rows = array.T if turned else array
    if rows.shape[1] <= fixed if scores else rows.shape[1] != fixed:
        raise misshaped(ask, array, f"at least {fixed + 1} columns" if scores else f"{fixed} columns")
    return rows


def scored(ask: Question, parts: Parts) -> tuple[NDArray[np.int64], Floats, NDArray[np.int64]]:
    """Rows that reach the confidence: their indices, scores and class ids."""
    if "classes" in parts:
        return best_classes(ask, parts["classes"], parts["objectness"][:, 0] if "objectness" in parts else None)
    scores = parts["score"][:, 0]
    classes = parts["class"][:, 0] if "class" in parts else np.zeros_like(scores)
    return told_classes(ask, scores, classes)


def with_parts(ask: Question, found: Candidates, parts: Parts) -> Candidates:
    """`found`, with its angles, points and weights of prototypes out of its rows."""
    spec, kept = ask.spec, found.rows
    if spec.angle == "none" and spec.points is None and spec.masks is None:
        return found
    angles = points = None
    if "angle" in parts:
        angles = parts["angle"][kept, 0]
        angles = np.deg2rad(angles) if spec.angle == "degrees" else angles
    if "points" in parts and spec.points is not None:
        from edge_runtime.vision.postprocess.points import points_of  # loaded when a model needs it

        points = points_of(ask, spec.points, parts["points"][kept])
    masks = parts["masks"][kept] if "masks" in parts else None
    return dataclasses.replace(found, angles=angles, points=points, masks=masks)
