"""Points, polygons and lines in pixels of a picture. Pure.

A figure is its corners in order: one is a point, two are a line, more a polygon, whose last corner joins the first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["XY", "Corners", "assigned", "contains", "gap", "holds", "pixels_inside"]

XY = tuple[float, float]
Corners = Sequence[XY]


def contains(polygon: Corners, point: XY) -> bool:
    """Whether a point lies in a polygon, or on its edge; where it crosses itself, what is around twice is outside."""
    if any(_to_side(point, side) == 0.0 for side in _sides(polygon, closed=True)):
        return True
    x, y = point
    inside = False
    for (x1, y1), (x2, y2) in _sides(polygon, closed=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside


def gap(one: Corners, other: Corners, closed: bool = True) -> float:
    """How far two figures are from each other: 0 where they touch. `closed` False: `other` is an open line."""
    if len(one) > 2 and contains(one, other[0]):
        return 0.0
    if len(other) > 2 and closed and contains(other, one[0]):
        return 0.0
    mine, others = list(_sides(one, True)), list(_sides(other, closed))
    return min(_between(side, another) for side, another in itertools.product(mine, others))


def holds(polygon: Corners, figure: Corners) -> bool:
    """Whether all of a figure lies in a polygon; touching its edge from the inside is well."""
    if not all(contains(polygon, corner) for corner in figure):
        return False
    sides = list(_sides(figure, closed=True))
    if any(_cross(side, other) for side, other in itertools.product(sides, _sides(polygon, closed=True))):
        return False
    notches = (corner for corner in polygon if len(figure) > 2 and contains(figure, corner))
    return all(any(_to_side(corner, side) == 0.0 for side in sides) for corner in notches)


def pixels_inside(polygon: Corners, left: int, top: int, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pixels of a mask [height, width] at `left`, `top` have their centre in a polygon, [height, width]."""
    rows = top + np.arange(inside.shape[0]) + 0.5
    columns = left + np.arange(inside.shape[1]) + 0.5
    found = np.zeros(inside.shape, np.bool_)
    for (x1, y1), (x2, y2) in _sides(polygon, closed=True):
        crossed = (y1 > rows) != (y2 > rows)
        if crossed.any():
            at = x1 + (rows[crossed] - y1) * (x2 - x1) / (y2 - y1)
            found[crossed] ^= columns[None, :] < at[:, None]
    return found & inside


def assigned(wanted: Sequence[Sequence[int]]) -> list[int | None]:
    """Give each the thing that it gets, where no two may have the same: as many as can be get one (Kuhn, 1955).

    `wanted`: for each the things that it would take, the dearest first.
    """
    owner: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for thing in wanted[one]:
            if thing in tried:
                continue
            tried.add(thing)
            if thing not in owner or place(owner[thing], tried):
                owner[thing] = one
                return True
        return False

    for one in range(len(wanted)):
        place(one, set())
    found: list[int | None] = [None] * len(wanted)
    for thing, one in owner.items():
        found[one] = thing
    return found


Side = tuple[XY, XY]


def _sides(corners: Corners, closed: bool) -> Iterator[Side]:
    if len(corners) == 1:
        yield corners[0], corners[0]
        return
    yield from itertools.pairwise(corners)
    if closed and len(corners) > 2:
        yield corners[-1], corners[0]


def _between(one: Side, other: Side) -> float:
    if _cross(one, other):
        return 0.0
    return min(_to_side(one[0], other), _to_side(one[1], other), _to_side(other[0], one), _to_side(other[1], one))


def _cross(one: Side, other: Side) -> bool:
    """Whether two sides cross, neither ending on the other."""
    return _turn(one, other[0]) * _turn(one, other[1]) < 0 and _turn(other, one[0]) * _turn(other, one[1]) < 0


def _turn(side: Side, point: XY) -> int:
    (x1, y1), (x2, y2) = side
    value = (x2 - x1) * (point[1] - y1) - (y2 - y1) * (point[0] - x1)
    return (value > 0) - (value < 0)


def _to_side(point: XY, side: Side) -> float:
    (x1, y1), (x2, y2) = side
    if _turn(side, point) == 0 and min(x1, x2) <= point[0] <= max(x1, x2) and min(y1, y2) <= point[1] <= max(y1, y2):
        return 0.0  # and not what rounding leaves
    dx, dy = x2 - x1, y2 - y1
    square = dx * dx + dy * dy
    along = 0.0 if square == 0 else min(max(((point[0] - x1) * dx + (point[1] - y1) * dy) / square, 0.0), 1.0)
    return math.hypot(point[0] - x1 - along * dx, point[1] - y1 - along * dy)
