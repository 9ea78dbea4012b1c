"""A directory of tags, as EXIF and a JPEG's table of several pictures have it (TIFF 6.0, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Directory"]

_ENTRY = 12  # bytes


class Directory:
    """The first one of those that begin at `start`; places are counted from the beginning of `data`."""

    def __init__(self, data: bytes, start: int = 0) -> None:
        self._data, self._start = data, start
        self._order: Any = {b"II": "little", b"MM": "big"}.get(data[start : start + 2])

    def number(self, place: int, size: int = 4) -> int:
        """Return the number of so many bytes; what lies behind the data adds nothing."""
        return int.from_bytes(self._data[place : place + size], self._order)

    def entries(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield the tag and the place of each entry, of the first `most`; none where there is no directory."""
        if self._order is None:
            return
        first = self._start + self.number(self._start + 4)
        for place in range(first + 2, first + 2 + _ENTRY * min(self.number(first, 2), most), _ENTRY):
            yield self.number(place, 2), place
