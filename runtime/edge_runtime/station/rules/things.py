"""What was seen, as rules look at it: in pixels of the original picture, whatever it was decoded to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.results import Box, Mask, OrientedBox, Prediction
from edge_runtime.station.rules.geometry import XY, contains, gap, holds, pixels_inside
from edge_runtime.station.rules.settings import Distance, Extent, Range, Rule, Spot, Zone, are_shares

__all__ = ["Picture", "Thing", "counted", "places_of", "thing_of"]


@dataclass(frozen=True)
class Picture:
    """The original's size in pixels, and by what coordinates of an answer become those of the original.

    `moved`: a b c d e f, where a recipe's place (x, y) is in this picture: at (a x + b y + c, d x + e y + f); None:
    where it says.
    """

    width: float
    height: float
    across: float = 1.0
    down: float = 1.0
    moved: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Thing:
    """A prediction: its corners (none: a class of the whole picture), sizes, and which of the answer's it is.

    A turned box is as wide and high as it is by itself; the area is that of the mask's pixels, of the region, or else
    of the box.
    """

    number: int
    name: str
    score: float
    corners: tuple[XY, ...] = ()
    width: float = 0.0
    height: float = 0.0
    area: float = 0.0
    mask: Mask | None = None

    @property
    def centre(self) -> XY:
        """The middle of its box."""
        xs, ys = zip(*self.corners, strict=True)
        return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def thing_of(number: int, found: Prediction, picture: Picture) -> Thing:
    """Return a prediction as a thing."""
    if found.box is None:
        return Thing(number, found.name, found.confidence)
    corners = _scaled(_corners(found.box, found.oriented), picture)
    if found.oriented is None:
        width, height = corners[2][0] - corners[0][0], corners[2][1] - corners[0][1]
    else:
        width, height = gap([corners[0]], [corners[1]]), gap([corners[0]], [corners[3]])
    area = width * height if found.area is None else found.area * picture.width * picture.height
    return Thing(number, found.name, found.confidence, corners, width, height, area, found.mask)


def counted(rule: Rule, threshold: float, things: Sequence[Thing], picture: Picture) -> list[Thing]:
    """Return the things that count for a rule; `threshold` is the score from which on where the rule says none."""
    least = threshold if rule.score is None else rule.score
    sure = [thing for thing in things if thing.score >= least]
    return [thing for thing in sure if _counts(rule, thing, sure, picture)]


def places_of(spots: Sequence[Spot], picture: Picture) -> list[XY]:
    """Return places that belong together in pixels of this picture."""
    shares = are_shares(spots)

    def pixels(extent: Extent, whole: float) -> float:
        return extent.value * whole if shares and not extent.percent else extent.pixels(whole)

    found = [(pixels(spot.x, picture.width), pixels(spot.y, picture.height)) for spot in spots]
    if picture.moved is None:
        return found
    a, b, c, d, e, f = picture.moved
    return [(a * x + b * y + c, d * x + e * y + f) for x, y in found]


def _counts(rule: Rule, thing: Thing, sure: Sequence[Thing], picture: Picture) -> bool:
    if rule.classes and thing.name not in rule.classes:
        return False
    sizes = (
        (rule.width, thing.width, picture.width),
        (rule.height, thing.height, picture.height),
        (rule.area, thing.area, picture.width * picture.height),
    )
    if not all(limits is None or _within(limits, size, whole) for limits, size, whole in sizes):
        return False
    if rule.zone is not None and not _lies(rule.zone, thing, picture):
        return False
    return rule.distance is None or _is_so_far(rule.distance, thing, sure, picture)


def _within(limits: Range | Distance, size: float, whole: float) -> bool:
    if limits.min is not None and size < limits.min.pixels(whole):
        return False
    return limits.max is None or size <= limits.max.pixels(whole)


def _lies(zone: Zone, thing: Thing, picture: Picture) -> bool:
    polygon = places_of(zone.polygon, picture)
    if zone.where in ("centre", "outside"):
        return contains(polygon, thing.centre) == (zone.where == "centre")
    if thing.mask is not None:
        mask = thing.mask
        # The polygon in the mask's pixels: masks are as large as the picture was decoded.
        own = [(x / picture.across, y / picture.down) for x, y in polygon]
        inside = int(np.count_nonzero(pixels_inside(own, mask.left, mask.top, mask.inside)))
        return inside > 0 if zone.where == "overlap" else inside == int(np.count_nonzero(mask.inside))
    if zone.where == "overlap":
        return gap(thing.corners, polygon) == 0.0
    return holds(polygon, thing.corners)


def _is_so_far(distance: Distance, thing: Thing, sure: Sequence[Thing], picture: Picture) -> bool:
    edges = distance.between == "edges"
    mine = thing.corners if edges else (thing.centre,)
    if distance.classes:
        others = [other for other in sure if other.name in distance.classes and other.number != thing.number]
        gaps = [gap(mine, other.corners if edges else (other.centre,)) for other in others]
    else:
        spots = distance.line if distance.point is None else (distance.point,)
        gaps = [gap(mine, places_of(spots, picture), closed=False)]
    return _within(distance, min(gaps, default=float("inf")), picture.width)


def _corners(box: Box, turned: OrientedBox | None) -> tuple[XY, ...]:
    if turned is not None:
        return turned.corners()
    return (box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2)


def _scaled(corners: tuple[XY, ...], picture: Picture) -> tuple[XY, ...]:
    if picture.across == picture.down == 1.0:
        return corners
    return tuple((x * picture.across, y * picture.down) for x, y in corners)
