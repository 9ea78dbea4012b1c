"""What objects have besides their boxes, and how alike those parts of two objects are, 0..1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.outlines import Polygons, corners_of, mask_of
from edge_export.evaluate.data.truth import BoxTruth, Part
from edge_export.evaluate.metrics.masks import NO_MASK, mask_overlaps
from edge_export.evaluate.metrics.measure import boxes_of
from edge_export.evaluate.metrics.oriented import oriented_overlaps
from edge_export.evaluate.metrics.points import AREA_OF_BOX, similarities
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess
from edge_runtime.errors import DataError
from edge_runtime.results import Mask, Prediction

__all__ = ["Targets", "alike", "parts_of", "seen_targets", "true_targets"]

# A point that the reference is less sure of is not compared: nobody knows where it is.
_SURE_POINT = 0.5


@dataclass(frozen=True)
class Targets:
    """The objects of one image that others are compared with, in its pixels: boxes [m, 4], and one part of them.

    `crowd` bool [m] as in BoxTruth. Of `masks`, `points` [m, K, 3] with `areas` [m], and `corners` [m, 4, 2] of turned
    boxes, only what the part needs is filled. `unknown` bool [m] are objects whose part nobody knows.
    """

    boxes: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    masks: tuple[Mask, ...] = ()
    points: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None
    corners: NDArray[np.float64] | None = None


def parts_of(postprocess: Postprocess) -> tuple[Part, ...]:
    """Return what a model gives of each object besides its box."""
    if not isinstance(postprocess, Detect):
        return ()
    given: dict[Part, bool] = {
        "masks": postprocess.masks is not None,
        "points": postprocess.points is not None,
        "oriented": postprocess.angle != "none",
    }
    return tuple(part for part, there in given.items() if there)


def true_targets(part: Part, truth: BoxTruth, width: int, height: int) -> Targets:
    """Return the labelled objects of an image of this size. DataError where an outline is of another size."""
    boxes, scale = truth.pixels(width, height), truth.scale(width, height)
    none = np.zeros(len(boxes), np.bool_)
    if part == "points":
        points = np.zeros((len(boxes), 1, 3)) if truth.points is None else truth.points * np.array([*scale, 1.0])
        areas = np.full(len(boxes), np.nan) if truth.areas is None else truth.areas
        areas = np.where(np.isfinite(areas), areas, _areas(boxes))
        unknown = np.asarray(~(points[:, :, 2] > 0).any(axis=1), np.bool_)
        return Targets(boxes, truth.crowd, unknown, points=points, areas=areas)
    outlines = truth.outlines or (Polygons(()),) * len(boxes)
    around = [_rectangle(box) for box in boxes]
    unknown = np.array([isinstance(outline, Polygons) and not outline.rings for outline in outlines], np.bool_)
    if part == "oriented":
        corners = [
            ring if gap else corners_of(one, scale) for one, ring, gap in zip(outlines, around, unknown, strict=True)
        ]
        return Targets(boxes, truth.crowd, none, corners=np.array(corners).reshape(-1, 4, 2))
    try:
        masks = tuple(
            mask_of(Polygons((ring,)), height, width) if gap else mask_of(one, height, width, scale)
            for one, ring, gap in zip(outlines, around, unknown, strict=True)
        )
    except ValueError as error:
        raise DataError(f"an object's outline does not fit its image: {error}") from error
    return Targets(boxes, truth.crowd, unknown, masks=masks)


def seen_targets(part: Part, predictions: Sequence[Prediction]) -> Targets:
    """Return the objects that a model found, as what another model's are compared with."""
    boxes, none = boxes_of(predictions).boxes, np.zeros(len(predictions), np.bool_)
    if part == "masks":
        return Targets(boxes, none, none, masks=_masks(predictions))
    if part == "oriented":
        return Targets(boxes, none, none, corners=_corners(predictions))
    count = max((len(p.points) for p in predictions), default=1)
    points = _points(predictions, count)
    sure = points[:, :, 2] >= _SURE_POINT
    # Where it is sure of none, all are compared.
    points[:, :, 2] = sure | ~sure.any(axis=1, keepdims=True)
    return Targets(boxes, none, none, points=points, areas=_areas(boxes))


def alike(part: Part, predictions: Sequence[Prediction], targets: Targets) -> NDArray[np.float64]:
    """Return how alike a part of each prediction and target is, float64 [n, m]: IoU, of key points OKS.

    DataError where a prediction has another number of key points.
    """
    return _ALIKE[part](predictions, targets)


def _mask_likeness(predictions: Sequence[Prediction], targets: Targets) -> NDArray[np.float64]:
    return mask_overlaps(_masks(predictions), targets.masks, targets.crowd)


def _point_likeness(predictions: Sequence[Prediction], targets: Targets) -> NDArray[np.float64]:
    if targets.points is None or targets.areas is None:
        raise ValueError("expected targets with points and areas")
    if not len(targets.boxes) or not predictions:
        return np.zeros((len(predictions), len(targets.boxes)))
    found = _points(predictions, targets.points.shape[1])[:, :, :2]
    return similarities(found, targets.points, targets.boxes, targets.areas)


def _oriented_likeness(predictions: Sequence[Prediction], targets: Targets) -> NDArray[np.float64]:
    if targets.corners is None:
        raise ValueError("expected targets with corners")
    return oriented_overlaps(_corners(predictions), targets.corners)


_ALIKE: dict[Part, Callable[[Sequence[Prediction], Targets], NDArray[np.float64]]] = {
    "masks": _mask_likeness,
    "points": _point_likeness,
    "oriented": _oriented_likeness,
}


def _masks(predictions: Sequence[Prediction]) -> tuple[Mask, ...]:
    return tuple(NO_MASK if p.mask is None else p.mask for p in predictions)


def _points(predictions: Sequence[Prediction], count: int) -> NDArray[np.float64]:
    """Their key points [n, count, 3], x y confidence; of a prediction without any they are endlessly far away."""
    rows = []
    for prediction in predictions:
        if prediction.points and len(prediction.points) != count:
            raise DataError(f"the labels have {count} key points for each object, the model {len(prediction.points)}")
        rows.append([(p.x, p.y, p.confidence) for p in prediction.points] or [(np.inf, np.inf, 0.0)] * count)
    return np.array(rows, dtype=np.float64).reshape(-1, count, 3)


def _corners(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    """The corners of their turned boxes [n, 4, 2], or of the box of one that is not turned."""
    boxes = boxes_of(predictions).boxes
    rows = [
        _rectangle(box) if p.oriented is None else p.oriented.corners()
        for p, box in zip(predictions, boxes, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4, 2)


def _rectangle(box: NDArray[np.float64]) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = AREA_OF_BOX * np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return areas
