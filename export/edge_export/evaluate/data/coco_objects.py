"""One entry of COCO's `annotations`: a box [x, y, w, h], perhaps a segmentation, perhaps key points, in pixels."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.outlines import Outline, Polygons, Runs, decode_runs
from edge_export.evaluate.data.truth import BoxTruth, Part
from edge_runtime.errors import DataError

__all__ = ["CocoObject", "read_object", "truth_of"]


@dataclass(frozen=True)
class CocoObject:
    """`box` x1 y1 x2 y2; `area` NaN where it is not given; `points` x y visibility and so on, [] where none are."""

    box: list[float]
    class_id: int
    crowd: bool
    area: float
    outline: Outline
    points: list[float]


def read_object(entry: dict[str, Any], index: dict[int, int], where: str, parts: Collection[Part]) -> CocoObject:
    """Read an entry and those of its `parts` that are asked for; `index` gives the class of a category's id.

    Raises DataError that begins with `where`.
    """
    box, category = entry.get("bbox"), entry.get("category_id")
    if not _numbers(box) or len(box) != 4 or category not in index:
        raise DataError(
            f"{where}: expected bbox [x, y, w, h] and a known category_id, found bbox {box} and category {category!r}"
        )
    x, y, width, height = (float(value) for value in box)
    area = [entry.get("area")]
    return CocoObject(
        [x, y, x + width, y + height],
        index[category],
        bool(entry.get("iscrowd", 0)),
        float(area[0]) if _numbers(area) else math.nan,
        _outline(entry.get("segmentation"), where) if {"masks", "oriented"} & set(parts) else Polygons(()),
        _points(entry.get("keypoints") or [], where) if "points" in parts else [],
    )


def truth_of(objects: Sequence[CocoObject], count: int) -> BoxTruth:
    """Gather the objects of one image, each with `count` key points (0: none)."""
    points: NDArray[np.float64] | None = None
    if count:
        points = np.array([one.points or [0.0] * 3 * count for one in objects]).reshape(-1, count, 3)
    outlines = tuple(one.outline for one in objects)
    known = any(isinstance(outline, Runs) or outline.rings for outline in outlines)
    return BoxTruth(
        np.array([one.box for one in objects], dtype=np.float64).reshape(-1, 4),
        np.array([one.class_id for one in objects], dtype=np.int64),
        np.array([one.crowd for one in objects], dtype=np.bool_),
        outlines=outlines if known else (),
        points=points,
        areas=np.array([one.area for one in objects], dtype=np.float64),
    )


def _numbers(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)


def _points(values: Any, where: str) -> list[float]:
    if not _numbers(values) or len(values) % 3:
        raise DataError(f"{where}: expected keypoints [x, y, visibility, ...], found {str(values)[:60]}")
    return [float(value) for value in values]


def _outline(segmentation: Any, where: str) -> Outline:
    """Polygons, or runs as a list or compressed; without any, nobody knows the outline."""
    if not segmentation:
        return Polygons(())
    if isinstance(segmentation, dict):
        return _runs(segmentation, where)
    rings: list[Any] = segmentation if isinstance(segmentation, list) else [None]
    if not all(_numbers(ring) and len(ring) % 2 == 0 for ring in rings):
        raise DataError(
            f"{where}: expected a segmentation of polygons [[x, y, x, y, x, y, ...], ...] or of runs "
            f"{{counts, size}}, found {str(segmentation)[:60]}"
        )
    return Polygons(tuple(np.array(ring, np.float64).reshape(-1, 2) for ring in rings if len(ring) >= 6))


def _runs(segmentation: dict[str, Any], where: str) -> Runs:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    try:
        height, width = (int(value) for value in size or ())
        runs = decode_runs(counts) if isinstance(counts, str) else np.array(counts, dtype=np.int64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: the runs of its segmentation cannot be read ({error})") from error
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise DataError(f"{where}: expected runs of {height * width} pixels in all (size {size}), found {runs.sum()}")
    return Runs(runs, height, width)
