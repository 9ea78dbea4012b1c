"""What several tiles saw of one object becomes one object again. Pure.

Two tiles see the same of what lies in the area that they share: two finds are one object where their boxes agree
*there*, however far each goes on beyond. So two halves of a long object are joined where plain non-maximum suppression,
which compares whole boxes, keeps both. A find of one tile is matched with one of another at most, and two finds of one
tile are never joined: it saw them apart.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction
from edge_runtime.station.view.tiling import Rect

__all__ = ["joined"]

_AGREE = 0.4  # least IoU of two boxes in the area that both tiles see
_INSIDE = 0.7  # of a piece that its tile cut: as much of it in the other box says the same
_CROSSING = 0.1  # the same, of two pieces that end at the two edges of what both tiles see
_EDGE = 0.01  # of a tile's side: nearer to a seam than that a box may be a cut one
_LEAST_EDGE = 3.0  # pixels


@dataclass(frozen=True)
class _Find:
    tile: int
    prediction: Prediction
    box: Box
    cut: frozenset[str]  # the sides on which the picture goes on beyond the tile, and perhaps the object
    to_edge: Box  # the box with those sides where the tile ends: of a sliver a pixel is much


def joined(found: Sequence[tuple[Rect, Sequence[Prediction]]], region: Rect) -> list[Prediction]:
    """Return the objects of a region, best first, from what each of its tiles found, all in pixels of the picture.

    Predictions have boxes.
    """
    finds = [
        _Find(tile, one, one.box, cut, _to_edge(one.box, cut, rect))
        for tile, (rect, predictions) in enumerate(found)
        for one in predictions
        if one.box is not None
        for cut in [_cut_sides(one.box, rect, region)]
    ]
    groups = _groups(finds, [rect for rect, _ in found])
    return sorted((_one(group) for group in groups), key=_order)


def _order(one: Prediction) -> tuple[float, ...]:
    box = one.box
    return (-one.confidence, one.class_id, *(() if box is None else (box.x1, box.y1, box.x2, box.y2)))


def _cut_sides(box: Box, tile: Rect, region: Rect) -> frozenset[str]:
    """The edges of its tile at which a box ends while the picture goes on beyond."""
    across, down = max(_EDGE * tile.width, _LEAST_EDGE), max(_EDGE * tile.height, _LEAST_EDGE)
    sides = {
        "left": tile.left > region.left and box.x1 <= tile.left + across,
        "top": tile.top > region.top and box.y1 <= tile.top + down,
        "right": tile.right < region.right and box.x2 >= tile.right - across,
        "bottom": tile.bottom < region.bottom and box.y2 >= tile.bottom - down,
    }
    return frozenset(side for side, is_cut in sides.items() if is_cut)


def _to_edge(box: Box, cut: frozenset[str], tile: Rect) -> Box:
    return Box(
        min(box.x1, tile.left) if "left" in cut else box.x1,
        min(box.y1, tile.top) if "top" in cut else box.y1,
        max(box.x2, tile.right) if "right" in cut else box.x2,
        max(box.y2, tile.bottom) if "bottom" in cut else box.y2,
    )


def _groups(finds: Sequence[_Find], tiles: Sequence[Rect]) -> list[list[_Find]]:
    by_tile: dict[int, list[int]] = {}
    for number, find in enumerate(finds):
        by_tile.setdefault(find.tile, []).append(number)
    matches: list[tuple[float, tuple[float, ...], tuple[float, ...], int, int]] = sorted(
        (-agreement, *_in_order(finds[one], finds[other]), one, other)
        for first in by_tile
        for second in by_tile
        if first < second and (area := tiles[first].shared(tiles[second])) is not None
        for one in by_tile[first]
        for other in by_tile[second]
        if (agreement := _agreement(finds[one], finds[other], area)) >= _AGREE
    )
    group_of = list(range(len(finds)))
    members = {number: [number] for number in group_of}
    for _, _, _, one, other in matches:
        kept, gone = group_of[one], group_of[other]
        if kept == gone or {finds[n].tile for n in members[kept]} & {finds[n].tile for n in members[gone]}:
            continue
        for number in members[gone]:
            group_of[number] = kept
        members[kept] += members.pop(gone)
    return [[finds[number] for number in group] for group in members.values()]


def _in_order(one: _Find, other: _Find) -> tuple[tuple[float, ...], tuple[float, ...]]:
    first, second = sorted((_order(one.prediction), _order(other.prediction)))
    return first, second


def _agreement(one: _Find, other: _Find, area: Rect) -> float:
    """How far two finds agree in the area that both tiles see, 0..1."""
    if one.prediction.class_id != other.prediction.class_id:
        return 0.0
    first, second = _clipped(one.to_edge, area), _clipped(other.to_edge, area)
    if first is None or second is None:
        return 0.0
    both = max(min(first.x2, second.x2) - max(first.x1, second.x1), 0.0) * max(
        min(first.y2, second.y2) - max(first.y1, second.y1), 0.0
    )
    sizes = _size(first), _size(second)
    alike = both / (sum(sizes) - both)
    share = both / min(sizes)
    if one.cut or other.cut:
        alike = max(alike, share * _AGREE / _INSIDE)
    # What crosses a seam aslant has upright boxes that hardly meet; whatever agrees better is matched before.
    if alike < _AGREE and share >= _CROSSING and (_crosses(one, other) or _crosses(other, one)):
        return _AGREE
    return alike


def _crosses(one: _Find, other: _Find) -> bool:
    """Whether one ends where its tile does, to the right or below, and the other begins where its own does."""
    across = "right" in one.cut and "left" in other.cut and one.box.x1 < other.box.x1 and one.box.x2 < other.box.x2
    down = "bottom" in one.cut and "top" in other.cut and one.box.y1 < other.box.y1 and one.box.y2 < other.box.y2
    return across or down


def _clipped(box: Box, area: Rect) -> Box | None:
    x1, y1 = max(box.x1, area.left), max(box.y1, area.top)
    x2, y2 = min(box.x2, area.right), min(box.y2, area.bottom)
    return Box(x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _size(box: Box) -> float:
    return (box.x2 - box.x1) * (box.y2 - box.y1)


def _one(group: Sequence[_Find]) -> Prediction:
    """One object of what tiles saw of it: as the tile has it that saw it whole, else put together."""
    if len(group) == 1:
        return group[0].prediction
    ranked = sorted(group, key=lambda find: _order(find.prediction))
    confidence = ranked[0].prediction.confidence
    whole = next((find.prediction for find in ranked if not find.cut), None)
    if whole is not None:
        return dataclasses.replace(whole, confidence=confidence)
    parts = [find.prediction for find in ranked]
    masks = [one.mask for one in parts if one.mask is not None]
    turned = [one.oriented for one in parts if one.oriented is not None]
    box = _around([find.box for find in ranked])
    oriented = _around_turned(turned) if turned else None
    mask = _together(masks) if masks else None
    areas = [one.area for one in parts if one.area is not None]
    area = max(areas) if areas else None
    if mask is not None and area is not None:
        share = [
            one.area / np.count_nonzero(one.mask.inside)
            for one in parts
            if one.area is not None and one.mask is not None and one.mask.inside.any()
        ]
        area = float(np.count_nonzero(mask.inside)) * max(share) if share else area
    if oriented is not None:
        corners = oriented.corners()
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        box = Box(min(xs), min(ys), max(xs), max(ys))
    return Prediction(parts[0].name, parts[0].class_id, confidence, box, area, oriented, _best_points(parts), mask)


def _around(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.x1 for box in boxes),
        min(box.y1 for box in boxes),
        max(box.x2 for box in boxes),
        max(box.y2 for box in boxes),
    )


def _around_turned(boxes: Sequence[OrientedBox]) -> OrientedBox:
    """Around all of them, turned as the longest is: of an object that was cut, its angle is known best."""
    angle = max(boxes, key=lambda box: max(box.width, box.height)).angle
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [corner for box in boxes for corner in box.corners()]
    along = [x * cos + y * sin for x, y in corners]
    across = [y * cos - x * sin for x, y in corners]
    u, v = (min(along) + max(along)) / 2, (min(across) + max(across)) / 2
    width, height = max(along) - min(along), max(across) - min(across)
    return OrientedBox(u * cos - v * sin, u * sin + v * cos, width, height, angle)


def _together(masks: Sequence[Mask]) -> Mask:
    left, top = min(mask.left for mask in masks), min(mask.top for mask in masks)
    right = max(mask.left + mask.inside.shape[1] for mask in masks)
    bottom = max(mask.top + mask.inside.shape[0] for mask in masks)
    inside = np.zeros((bottom - top, right - left), np.bool_)
    for mask in masks:
        rows, columns = mask.top - top, mask.left - left
        inside[rows : rows + mask.inside.shape[0], columns : columns + mask.inside.shape[1]] |= mask.inside
    return Mask(left, top, inside)


def _best_points(parts: Sequence[Prediction]) -> tuple[Point, ...]:
    """Each point as the part has it that is surest of it."""
    return tuple(
        max(same, key=lambda point: point.confidence) for same in zip(*(one.points for one in parts), strict=False)
    )
