"""What a recipe says of a rule: which of the things that were seen count, and how many of them there may be.

A length is in pixels of the picture (12, 12px) or a share of it (2.5%): of its width for what lies across, of its
height for what stands upright, of both for an area. Places are that, too, or fractions (0.5) as in a station's region.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

__all__ = [
    "MOST_COUNTED", "Count", "Distance", "Extent", "Place", "Range", "Rule", "RuleVerdict", "Spot", "Zone",
    "are_shares",
]  # fmt: skip

RuleVerdict = Literal["NG", "WARN"]
MOST_COUNTED = 999  # of regions the 1,000 largest are looked at


@dataclass(frozen=True)
class Extent:
    """A length, a coordinate or an area: `value` pixels, or percent of the picture's."""

    PATTERN: ClassVar[str] = r"(\d+\.?\d*|\.\d+) ?(px|%)?"
    WORDS: ClassVar[str] = "pixels or a share of the picture, such as 12 or 2.5%"

    value: float
    percent: bool = False

    @staticmethod
    def parse(text: str) -> Extent:
        """Read what matches PATTERN. Raises ValueError where it is not plain which of both is meant."""
        found = re.fullmatch(Extent.PATTERN, text, re.ASCII)
        if found is None:
            raise ValueError(f"expected {Extent.WORDS}, found {text[:60]!r}")
        return Extent(float(found[1]), found[2] == "%")

    def pixels(self, whole: float) -> float:
        """Return it in pixels, where the picture has `whole` of them."""
        return self.value * whole / 100.0 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:g}{'%' * self.percent}"


@dataclass(frozen=True)
class Spot:
    """A place in the picture, from its upper left corner: [x, y].

    Of several places that belong together, numbers of which none is more than 1 are fractions of the picture.
    """

    LISTED: ClassVar[bool] = True

    x: Extent = field(metadata={"help": "From the left: pixels, or percent of the picture's width."})
    y: Extent = field(metadata={"help": "From the top: pixels, or percent of the picture's height."})

    def __post_init__(self) -> None:
        """Raise ValueError for what could mean two things."""
        _check_units([self])

    def __str__(self) -> str:
        return f"({self.x}, {self.y})"


@dataclass(frozen=True)
class Range:
    """From `min` to `max`, both included."""

    min: Extent | None = field(default=None, metadata={"help": "At least so much."})
    max: Extent | None = field(default=None, metadata={"help": "At most so much."})

    def __post_init__(self) -> None:
        """Raise ValueError for no bounds, or none between them."""
        _check_bounds(self.min, self.max)


@dataclass(frozen=True)
class Count:
    """How many there may be."""

    SHORT: ClassVar[str] = "exactly"

    exactly: int | None = field(default=None, metadata={"help": "So many, no more and no less."})
    min: int | None = field(default=None, metadata={"help": "At least so many."})
    max: int | None = field(default=None, metadata={"help": "At most so many."})

    def __post_init__(self) -> None:
        """Raise ValueError for what nobody can count, or nothing in between."""
        given = [number for number in (self.exactly, self.min, self.max) if number is not None]
        if not given or (self.exactly is not None and len(given) > 1):
            raise ValueError("expected a number, or min, max or both")
        if any(not 0 <= number <= MOST_COUNTED for number in given):
            raise ValueError(f"a count is 0 to {MOST_COUNTED}")
        if self.least > self.most:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if self.least == 0 and math.isinf(self.most):
            raise ValueError("min 0 allows everything")

    @property
    def least(self) -> int:
        """The fewest that there may be."""
        return self.exactly if self.exactly is not None else self.min or 0

    @property
    def most(self) -> float:
        """The most that there may be, or infinity."""
        if self.exactly is not None:
            return self.exactly
        return math.inf if self.max is None else self.max

    def __str__(self) -> str:
        if self.least == self.most:
            return str(self.least)
        words = [f"at least {self.least}"] * (self.least > 0)
        return " and ".join([*words, f"at most {self.most:g}"] if self.most < math.inf else words)


@dataclass(frozen=True)
class Zone:
    """A part of the picture, and how a thing must lie to it to count."""

    SHORT: ClassVar[str] = "polygon"

    polygon: tuple[Spot, ...] = field(metadata={"help": "Its corners, three at least: [[10%, 10%], [90%, 10%], ...]."})
    where: Literal["centre", "overlap", "inside", "outside"] = field(
        default="centre",
        metadata={
            "help": "A thing counts whose centre is in the zone, that touches it, that lies wholly in it, or whose "
            "centre is outside of it."
        },
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what has no area."""
        if len(self.polygon) < 3:
            raise ValueError(f"a zone has three corners at least, found {len(self.polygon)}")
        _check_units(self.polygon)
        if len(set(self.polygon)) < 3:
            raise ValueError("a zone has three corners at least that are not the same")


@dataclass(frozen=True)
class Distance:
    """How far a thing is from the nearest of others, from a point, or from a line; far away where there is none."""

    classes: tuple[str, ...] = field(default=(), metadata={"help": "From the nearest thing of these.", "single": True})
    point: Spot | None = field(default=None, metadata={"help": "From a place in the picture."})
    line: tuple[Spot, ...] = field(default=(), metadata={"help": "From a line through these places, two at least."})
    min: Extent | None = field(default=None, metadata={"help": "At least so far: pixels, or percent of the width."})
    max: Extent | None = field(default=None, metadata={"help": "At most so far: pixels, or percent of the width."})
    between: Literal["centres", "edges"] = field(
        default="centres", metadata={"help": "Measured from centre to centre, or from edge to edge of the boxes."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a distance from nothing, or from several."""
        given = [bool(self.classes), self.point is not None, bool(self.line)]
        if sum(given) != 1:
            raise ValueError(f"expected exactly one of classes, point, line, found {sum(given)}")
        if len(self.line) == 1:
            raise ValueError("a line goes through two places at least")
        _check_units(self.line)
        _check_bounds(self.min, self.max)


@dataclass(frozen=True)
class Place:
    """Where one of the things must be."""

    at: Spot = field(metadata={"help": "Where its centre is: [x, y]."})
    within: Extent = field(metadata={"help": "How far it may be from there: pixels, or percent of the width."})

    def __post_init__(self) -> None:
        """Raise ValueError for what is no length."""
        _check_length(self.within)


@dataclass(frozen=True)
class Rule:
    """Which things count, and how many of them there may be: none, where nothing else is said."""

    classes: tuple[str, ...] = field(
        default=(), metadata={"help": "Things of these classes count; without it all.", "single": True}
    )
    score: float | None = field(
        default=None, metadata={"help": "From this score on (0..1); without it from the bundle's threshold on."}
    )
    width: Range | None = field(default=None, metadata={"help": "Things so wide count."})
    height: Range | None = field(default=None, metadata={"help": "Things so high count."})
    area: Range | None = field(default=None, metadata={"help": "Things so large count: pixels, or percent of all."})
    zone: Zone | None = field(default=None, metadata={"help": "Things that lie so in a part of the picture count."})
    distance: Distance | None = field(default=None, metadata={"help": "Things so far from something count."})
    count: Count | None = field(
        default=None, metadata={"help": "How many there may be: 4, or {min: 2, max: 6}. Without it (and places) none."}
    )
    places: tuple[Place, ...] = field(default=(), metadata={"help": "Places at each of which one of them must be."})
    anomaly: float | None = field(
        default=None, metadata={"help": "Instead of all these: the picture's anomaly score must be below it (0..1)."}
    )
    frames: int = field(default=1, metadata={"help": "Only where it is so in so many frames in a row."})
    verdict: RuleVerdict = field(default="NG", metadata={"help": "What a frame is that breaks the rule: NG or WARN."})

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be together."""
        for name, value in (("score", self.score), ("anomaly", self.anomaly)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is 0 to 1, found {value:g}")
        if not 1 <= self.frames <= 1_000_000:
            raise ValueError("frames is how many in a row: 1 or more")
        things = (self.classes, self.width, self.height, self.area, self.zone, self.distance, self.count, self.places)
        if self.anomaly is not None and (any(things) or self.score is not None):
            raise ValueError("anomaly is about the whole picture: it stands alone, beside frames and verdict")
        if len(self.places) > 100:
            raise ValueError(f"a rule has 100 places at most, found {len(self.places)}")


def _check_bounds(least: Extent | None, most: Extent | None) -> None:
    if least is None and most is None:
        raise ValueError("expected min, max or both")
    for given in (least, most):
        if given is not None:
            _check_length(given)
    if least is not None and most is not None and least.percent == most.percent and least.value > most.value:
        raise ValueError(f"min {least} is above max {most}")


def are_shares(spots: Sequence[Spot]) -> bool:
    """Whether numbers without a unit are fractions of the picture, as none of them is more than 1; else pixels."""
    return all(one.value <= 1 for spot in spots for one in (spot.x, spot.y) if not one.percent)


def _check_units(spots: Sequence[Spot]) -> None:
    plain = [one.value for spot in spots for one in (spot.x, spot.y) if not one.percent]
    if not are_shares(spots) and any(0 < value < 1 for value in plain):
        raise ValueError("numbers below 1 and above it: write all as fractions, in percent, or in whole pixels")


def _check_length(extent: Extent) -> None:
    if not extent.percent and 0 < extent.value < 1:
        raise ValueError(f"{extent} is less than a pixel; of the picture that is {extent.value * 100:g}%")
