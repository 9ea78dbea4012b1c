"""A rectangle cut in tiles that overlap. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rect", "tiles_of"]


@dataclass(frozen=True)
class Rect:
    """Pixels from `left`, `top` on, up to `right`, `bottom` and without these."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Its width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Its height in pixels."""
        return self.bottom - self.top

    def within(self, other: Rect) -> bool:
        """Whether all of it lies in another one."""
        return (
            self.left >= other.left
            and self.top >= other.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )

    def shared(self, other: Rect) -> Rect | None:
        """What it has in common with another one."""
        found = Rect(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )
        return found if found.width > 0 and found.height > 0 else None


def tiles_of(region: Rect, size: tuple[int, int], overlap: int) -> list[Rect]:
    """Return tiles of `size` (width, height) that cover the region, row by row.

    Neighbours share `overlap` pixels or more: as few tiles as that takes are spread evenly. Where the region is
    smaller than a tile, the tile is as small. `overlap` is less than both sides of a tile.
    """
    columns = _starts(region.width, size[0], overlap)
    rows = _starts(region.height, size[1], overlap)
    width, height = min(size[0], region.width), min(size[1], region.height)
    return [
        Rect(region.left + x, region.top + y, region.left + x + width, region.top + y + height)
        for y in rows
        for x in columns
    ]


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    # The largest step of an even spread is the mean one rounded up, which a whole number bounds.
    return [(length - tile) * number // steps for number in range(steps + 1)]
