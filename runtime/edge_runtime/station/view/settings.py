"""What a recipe says of a station's pictures: where to look, where not, in how many pieces, against which reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

__all__ = ["LEAST_OVERLAP", "GateSettings", "Mask", "Reference", "Region", "Tiles", "ViewSettings", "are_fractions"]

LEAST_OVERLAP = 16  # pixels; with less, what lies on a seam shows so little in both tiles that nobody knows it again


def are_fractions(values: Sequence[float]) -> bool:
    """Whether coordinates are fractions of the picture: none is more than 1. Else they are pixels."""
    return all(value <= 1 for value in values)


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture: pixels, or fractions of it where none of the four numbers is more than 1."""

    x: float = field(metadata={"help": "Its left edge, in pixels, or as a fraction of the picture's width."})
    y: float = field(metadata={"help": "Its upper edge."})
    width: float = field(metadata={"help": "Its width."})
    height: float = field(metadata={"help": "Its height."})

    def __post_init__(self) -> None:
        """Raise ValueError for a rectangle that is none, or that no picture holds."""
        if min(self.x, self.y) < 0 or min(self.width, self.height) <= 0:
            raise ValueError("a region begins at 0 or more, and is wider and higher than nothing")
        if self.fractions and (self.x + self.width > 1 + 1e-9 or self.y + self.height > 1 + 1e-9):
            raise ValueError("as fractions of the picture, x + width and y + height are 1 at most")

    @property
    def fractions(self) -> bool:
        """Whether the numbers are fractions of the picture."""
        return are_fractions((self.x, self.y, self.width, self.height))


@dataclass(frozen=True)
class Mask:
    """What is not judged: polygons, a picture, or both."""

    polygons: tuple[tuple[tuple[float, ...], ...], ...] = field(
        default=(),
        metadata={"help": "Each a list of corners [x, y]: pixels, or fractions where no number of it is more than 1."},
    )
    picture: Path | None = field(
        default=None, metadata={"help": "A picture as large as the camera's; `masked` says which of it is not judged."}
    )
    masked: Literal["black", "white"] | None = field(
        default=None, metadata={"help": "Which pixels of `picture` are not judged."}
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a mask that covers nothing, or could mean two things."""
        if not self.polygons and self.picture is None:
            raise ValueError("a mask has polygons, a picture, or both")
        if (self.picture is None) != (self.masked is None):
            raise ValueError("a mask's picture needs `masked: black` or `masked: white`: which of it is not judged")
        for polygon in self.polygons:
            if len(polygon) < 3 or any(len(corner) != 2 for corner in polygon):
                raise ValueError("a polygon has three corners at least, each [x, y]")
            if any(value < 0 for corner in polygon for value in corner):
                raise ValueError("a polygon's corners are at 0 or more")


@dataclass(frozen=True)
class Tiles:
    """The region is judged in pieces of this size, in pixels of the picture."""

    SHORT: ClassVar[str] = "width"

    width: int = field(metadata={"help": "A tile's width in pixels of the picture: best the model's input."})
    height: int | None = field(default=None, metadata={"help": "Its height; as the width where it is not given."})
    overlap: int | None = field(
        default=None,
        metadata={"help": "Pixels that neighbours share at least: the size of what is looked for. A fifth of a tile."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for tiles that do not get on."""
        if min(self.size) < 2 * LEAST_OVERLAP:
            raise ValueError(f"a tile is {2 * LEAST_OVERLAP} pixels wide and high at least")
        if not LEAST_OVERLAP <= self.shared <= min(self.size) // 2:
            raise ValueError(
                f"tiles overlap by {LEAST_OVERLAP} pixels at least and by half of their smaller side "
                f"({min(self.size) // 2}) at most"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.width if self.height is None else self.height

    @property
    def shared(self) -> int:
        """The least overlap, in pixels."""
        return max(min(self.size) // 5, LEAST_OVERLAP) if self.overlap is None else self.overlap


@dataclass(frozen=True)
class Reference:
    """Pictures are held against this one: region and mask, which are of it, follow what has moved."""

    SHORT: ClassVar[str] = "picture"

    picture: Path = field(metadata={"help": "A picture of the camera with everything in its place."})
    most: float = field(
        default=0.05,
        metadata={"help": "The furthest that anything may have moved: pixels, or up to 1 as a fraction of the width."},
    )
    method: Literal["features", "ecc"] = field(
        default="features",
        metadata={"help": "features: corners found again (ORB, RANSAC); ecc: for scenes with hardly any corners."},
    )

    def __post_init__(self) -> None:
        """Raise ValueError for no distance."""
        if self.most <= 0:
            raise ValueError("`most` is how far a scene may have moved, more than nothing")


@dataclass(frozen=True)
class GateSettings:
    """Compute only where it matters. Runs with the file alone that says what that loses (edge-station gate)."""

    proof: Path | None = field(
        default=None, metadata={"help": "The file that edge-station gate writes, for this bundle and these settings."}
    )
    unchanged: bool = field(
        default=True, metadata={"help": "A tile, or region, that has not changed keeps its last answer."}
    )
    again: int = field(
        default=100, metadata={"help": "After so many pictures what has not changed is judged all the same."}
    )
    margin: float = field(
        default=0.03,
        metadata={"help": "An answer that is kept stands for all pictures of a scene: finds that little below count."},
    )
    scout: float | None = field(
        default=None,
        metadata={
            "help": "0..1: the whole is looked at first, and tiles in which it has nothing of this score are not."
        },
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a gate that does nothing, or numbers that are none."""
        if not self.unchanged and self.scout is None:
            raise ValueError("a gate needs `unchanged: true` or `scout`; leave it out to judge everything")
        if self.again < 1:
            raise ValueError("`again` is a number of pictures, 1 at least")
        if not 0 <= self.margin < 1:
            raise ValueError("`margin` is a part of a score, from 0 to below 1")
        if self.scout is not None and not 0 < self.scout <= 1:
            raise ValueError("`scout` is a score, above 0 and 1 at most")


@dataclass(frozen=True)
class ViewSettings:
    """All of it, of one station. What is None is not asked for."""

    region: Region | None = None
    mask: Mask | None = None
    tiles: Tiles | None = None
    reference: Reference | None = None
    gate: GateSettings | None = None

    def __bool__(self) -> bool:
        """Whether anything is asked for: else pictures are judged as they come."""
        return self != ViewSettings()
