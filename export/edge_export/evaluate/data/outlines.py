"""Outlines of labelled objects, and the pixels that they hold by COCO's rule (pycocotools, maskApi.c).

The rule is not OpenCV's: a polygon is drawn five times as large, and a pixel belongs to it where its centre does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Mask

__all__ = ["Outline", "Polygons", "Runs", "corners_of", "decode_runs", "mask_of"]

_FINER = 5


@dataclass(frozen=True)
class Polygons:
    """An object as the union of `rings`, each float64 [points, 2], in the units of the truth's boxes; () is unknown."""

    rings: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Runs:
    """An object as runs of pixels outside and inside in turn, column by column (COCO's RLE), of an image's size."""

    counts: NDArray[np.int64]
    height: int
    width: int


Outline = Union[Polygons, Runs]


def mask_of(outline: Outline, height: int, width: int, scale: tuple[float, float] = (1.0, 1.0)) -> Mask:
    """Return the pixels of an outline in an image of this size, cut to where they are.

    `scale` is what a polygon's x and y are multiplied with. ValueError where runs are of another size.
    """
    if isinstance(outline, Runs):
        if (outline.height, outline.width) != (height, width):
            raise ValueError(f"runs are of {outline.width}x{outline.height} pixels, the image has {width}x{height}")
        inside = np.repeat(np.arange(len(outline.counts)) % 2 == 1, outline.counts)
        return _cut(inside.reshape(width, height).T)
    columns = np.zeros((width, height), np.bool_)
    for ring in outline.rings:
        _fill(columns, ring * np.array(scale))
    return _cut(columns.T)


def corners_of(outline: Outline, scale: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.float64]:
    """Return the four corners [4, 2] of a turned box: the outline itself where it is a convex one of four corners,
    else the smallest rectangle around it (as Ultralytics' data sets of turned boxes are read).
    """
    if isinstance(outline, Runs):
        mask = mask_of(outline, outline.height, outline.width)
        rows, columns = np.nonzero(mask.inside)
        points: NDArray[np.float64] = np.stack([columns + mask.left, rows + mask.top], axis=1).astype(np.float64) + 0.5
    else:
        points = np.concatenate([*outline.rings, np.zeros((0, 2))]) * np.array(scale)
        if len(outline.rings) == 1 and len(points) == 4 and _convex(points):
            return points
    if not len(points):
        return np.zeros((4, 2))
    return np.array(cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32))), np.float64)


def decode_runs(text: str) -> NDArray[np.int64]:
    """Return the runs of COCO's compressed form (pycocotools, maskApi.c, rleFrString). ValueError for another text.

    Each number is a difference to the run before the last, in groups of five bits, the lowest first.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > 60:
            raise ValueError(f"expected runs as COCO compresses them, found {text[:40]!r}")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError(f"runs end in the middle of a number: {text[-40:]!r}")
    return np.array(counts, dtype=np.int64)


def _fill(columns: NDArray[np.bool_], ring: NDArray[np.float64]) -> None:
    """Add the pixels of one polygon to an image turned to [width, height]. Column by column from the top, each crossing
    of its boundary toggles in and out.
    """
    width, height = columns.shape
    places = np.trunc(_FINER * ring + 0.5).astype(np.int64)
    steps = [_line(start, end) for start, end in zip(places, np.roll(places, -1, axis=0), strict=True)]
    u, v = np.concatenate(steps, axis=1)
    crossed = np.flatnonzero(u[1:] != u[:-1])
    before, after = u[crossed], u[crossed + 1]
    x = (np.where(after < before, after, after - 1) + 0.5) / _FINER - 0.5
    y = (np.minimum(v[crossed], v[crossed + 1]) + 0.5) / _FINER - 0.5
    kept = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    flat = x[kept].astype(np.int64) * height + np.ceil(np.clip(y[kept], 0, height)).astype(np.int64)
    if not len(flat):
        return
    first = int(flat.min())
    inside = np.cumsum(np.bincount(flat - first)) % 2 == 1
    part = columns.reshape(-1)[first : first + len(inside)]
    part |= inside[: len(part)]


def _line(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """The points [2, n] of a line, one for each step of its longer side; reckoned from its lower end whichever way."""
    long = 0 if abs(end[0] - start[0]) >= abs(end[1] - start[1]) else 1
    turned = start[long] > end[long]
    low, high = (end, start) if turned else (start, end)
    span = int(high[long] - low[long])
    slope = float(high[1 - long] - low[1 - long]) / span if span else 0.0
    along = np.arange(span + 1)
    points = np.empty((2, span + 1), dtype=np.int64)
    points[long] = low[long] + along
    points[1 - long] = np.trunc(low[1 - long] + slope * along + 0.5).astype(np.int64)
    return points[:, ::-1] if turned else points


def _cut(whole: NDArray[np.bool_]) -> Mask:
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    if not len(rows):
        return Mask(0, 0, np.zeros((0, 0), np.bool_))
    top, left = int(rows[0]), int(columns[0])
    return Mask(left, top, whole[top : rows[-1] + 1, left : columns[-1] + 1].copy())


def _convex(points: Sequence[Sequence[float]] | NDArray[np.float64]) -> bool:
    sides = np.roll(points, -1, axis=0) - points
    after = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0]
    return bool((turns > 0).all() or (turns < 0).all())
