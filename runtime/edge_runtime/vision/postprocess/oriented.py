"""Boxes that are turned about their centre: suppression, overlap, and the way back to the original image.

A row is cx cy w h angle, the angle in radians, clockwise in the picture (y points down); a set of boxes is [K, 5].
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import MOST_CANDIDATES

__all__ = [
    "clipped",
    "corners_of",
    "nms_oriented",
    "oriented",
    "oriented_iou",
    "oriented_to_original",
    "probiou",
    "signed_area",
    "upright",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_EPSILON = 1e-7
_STRIP = 64  # boxes that are compared with all others at a time


def oriented(boxes: Floats, angles: Floats) -> Floats:
    """Rows of boxes x1 y1 x2 y2 [K, 4] that are turned about their centres by `angles` [K]."""
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.asarray(np.concatenate([centres, sizes, angles[:, None]], axis=1), np.float32)


def corners_of(rows: NDArray[np.floating]) -> Doubles:
    """The corners [K, 4, 2], in order; the first is the upper left one of the box before it was turned."""
    x, y, width, height, angle = np.asarray(rows, np.float64).T[:, :, None]
    across, down = np.array([-0.5, 0.5, 0.5, -0.5]) * width, np.array([-0.5, -0.5, 0.5, 0.5]) * height
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x + across * cos - down * sin, y + across * sin + down * cos], axis=2)


def upright(rows: NDArray[np.floating]) -> Doubles:
    """The upright rectangles x1 y1 x2 y2 around turned boxes, [K, 4]."""
    found = corners_of(rows)
    return np.concatenate([found.min(axis=1), found.max(axis=1)], axis=1)


def oriented_to_original(rows: Floats, place: Placement) -> Doubles:
    """Carry turned boxes from input pixels back to original pixels, unclipped; their angles are then 0..pi/2.

    Where x and y were scaled differently a rectangle comes back as a parallelogram: it gets the smallest rectangle
    around it, which lies along its longer edge (as cv2.minAreaRect would, and so those who label with it).
    """
    x, y, width, height, angle = np.asarray(rows, np.float64).T
    cos, sin = np.cos(angle), np.sin(angle)
    # The halves of the edges, as vectors.
    across = np.stack([width * cos / place.scale_x, width * sin / place.scale_y]) / 2
    down = np.stack([-height * sin / place.scale_x, height * cos / place.scale_y]) / 2
    first, second = np.hypot(*across), np.hypot(*down)
    along = first >= second
    edge, longest = np.where(along, across, down), np.maximum(np.maximum(first, second), _EPSILON)
    length = 2 * (longest + np.abs((across * down).sum(axis=0)) / longest)
    breadth = 2 * np.abs(across[0] * down[1] - across[1] * down[0]) / longest
    angle = np.arctan2(edge[1], edge[0])  # of the longer edge: Ultralytics' form has it in 0..pi/2
    wide = angle % math.pi < math.pi / 2
    return np.stack(
        [
            (x - place.offset_x) / place.scale_x,
            (y - place.offset_y) / place.scale_y,
            np.where(wide, length, breadth),
            np.where(wide, breadth, length),
            angle % (math.pi / 2),
        ],
        axis=1,
    )


def nms_oriented(
    rows: Floats, scores: Floats, classes: NDArray[np.int64], threshold: float, class_agnostic: bool = False
) -> NDArray[np.int64]:
    """Indices of the kept boxes among the MOST_CANDIDATES best, best first (equal scores: in their order).

    Ultralytics' rule for turned boxes (utils/nms.py, fast_nms; Fast NMS of YOLACT, arXiv 1904.02689), which is not that
    of upright ones: a box goes when its ProbIoU with a better one is `threshold` or more, be that one kept or not.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    rows, groups = rows[order], classes[order] * (not class_agnostic)
    kept = np.ones(len(order), np.bool_)
    for start in range(0, len(order), _STRIP):
        strip = slice(start, start + _STRIP)
        alike = probiou(rows[strip], rows[start:]) >= threshold
        alike &= groups[strip, None] == groups[None, start:]
        kept[start:] &= ~np.triu(alike, 1).any(axis=0)
    return np.asarray(order[kept], np.int64)


def probiou(rows: Floats, others: Floats) -> Floats:
    """How much each turned box [J, 5] and each other [K, 5] are alike, 0..1, [J, K]: arXiv 2106.06072, as Ultralytics.

    Boxes are taken for Gaussians; 1 less their Hellinger distance.
    """
    one, many = np.asarray(rows, np.float64)[:, None], np.asarray(others, np.float64)[None]
    a, b, c = (left + right for left, right in zip(_covariance(one), _covariance(many), strict=True))
    x, y = one[..., 0] - many[..., 0], one[..., 1] - many[..., 1]
    spread = a * b - c * c
    near = (a * y * y + b * x * x - 2 * c * x * y) / (4 * (spread + _EPSILON))
    alone = (one[..., 2] * one[..., 3] / 12) * (many[..., 2] * many[..., 3] / 12)  # the root of both determinants
    with np.errstate(divide="ignore", invalid="ignore"):
        shape = 0.5 * np.log(spread / (4 * np.maximum(alone, 0) + _EPSILON) + _EPSILON)
    distance = np.clip(near + shape, _EPSILON, 100.0)
    return np.asarray(1 - np.sqrt(1 - np.exp(-distance) + _EPSILON), np.float32)


def _covariance(rows: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    a, b = rows[..., 2] ** 2 / 12, rows[..., 3] ** 2 / 12
    cos, sin = np.cos(rows[..., 4]), np.sin(rows[..., 4])
    return a * cos * cos + b * sin * sin, a * sin * sin + b * cos * cos, (a - b) * cos * sin


def oriented_iou(box: NDArray[np.floating], others: NDArray[np.floating]) -> Doubles:
    """Exact intersection over union of one turned box [5] with each of `others` [K, 5]; 0 where both are empty."""
    found = np.zeros(len(others))
    area = abs(float(box[2]) * float(box[3]))
    around, edges = upright(box[None])[0], corners_of(box[None])[0]
    near = upright(others)
    touching = (near[:, :2] < around[2:]).all(axis=1) & (near[:, 2:] > around[:2]).all(axis=1)
    for index in np.flatnonzero(touching).tolist():
        shared = abs(signed_area(clipped(corners_of(others[index : index + 1])[0].tolist(), edges.tolist())))
        union = area + abs(float(others[index, 2]) * float(others[index, 3])) - shared
        found[index] = shared / union if union > 0 else 0.0
    return found


def clipped(polygon: list[list[float]], edges: list[list[float]]) -> list[list[float]]:
    """The part of a convex polygon inside of another, clockwise in the picture (Sutherland and Hodgman, 1974)."""
    for (x1, y1), (x2, y2) in zip(edges, edges[1:] + edges[:1], strict=True):
        sides = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in polygon]
        kept: list[list[float]] = []
        for index, (point, side) in enumerate(zip(polygon, sides, strict=True)):
            before, other = polygon[index - 1], sides[index - 1]
            if (side >= 0) != (other >= 0):
                part = other / (other - side)
                kept.append([old + (new - old) * part for old, new in zip(before, point, strict=True)])
            if side >= 0:
                kept.append(point)
        polygon = kept
    return polygon


def signed_area(polygon: list[list[float]]) -> float:
    """The area of a polygon (shoelace formula), positive where its corners go clockwise in the picture."""
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs) / 2
