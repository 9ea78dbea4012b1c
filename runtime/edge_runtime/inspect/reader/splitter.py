"""Pictures out of the bytes that a web camera sends, one after another.

Cameras disagree about boundaries (with dashes, quotes, before or after each part, none), lengths (wrong, missing) and
the headers of parts. What all of them send is JPEG, and JPEG says itself where it begins and ends: a scan's data holds
no marker but restarts. So the structure of the pictures alone is followed, and what is between them is not looked at.
"""

from __future__ import annotations

import re

__all__ = ["MOST_BYTES", "Splitter"]

# Of one picture, and of what is between two.
MOST_BYTES = 64 << 20
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_BEGIN = re.compile(re.escape(_JPEG) + b"|" + re.escape(_PNG))
_BEGIN_OF_LINE = re.compile(b"\n(?:" + re.escape(_JPEG) + b"|" + re.escape(_PNG) + b")")
# In the data of a scan: a marker that is no restart, no stuffed zero and no fill.
_MARKER = re.compile(b"\xff+[^\x00\xff\xd0-\xd7]")
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APPLICATION = frozenset((*range(0xE0, 0xF0), 0xFE))
# Between two pictures so much text at most: beyond, this is no camera.
_MOST_BETWEEN = 1 << 20


class Splitter:
    """Takes bytes as they come and gives whole pictures, and what came of those that were cut off.

    `lost` is set when what comes cannot be pictures any more.
    """

    def __init__(self) -> None:
        self.lost: str | None = None
        self._data = bytearray()
        self._inside = False
        self._place = 0  # how far the picture was followed
        self._in_scan = False

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Return the pictures that end in this piece, each with whether it is whole."""
        self._data += data
        found: list[tuple[bytes, bool]] = []
        while self._inside or self._begin():
            ends = self._png_end() if self._data.startswith(_PNG) else self._jpeg_end()
            if ends is None:
                if len(self._data) > MOST_BYTES:
                    self.lost = f"a picture of more than {MOST_BYTES >> 20} MB has no end"
                    self._data.clear()
                break
            place, whole = ends
            found.append((bytes(self._data[:place]), whole))
            del self._data[:place]
            self._inside = False
        return found

    def rest(self) -> bytes:
        """What came of a picture that has not ended; empty where none has begun."""
        return bytes(self._data) if self._inside else b""

    def _begin(self) -> bool:
        begin = _BEGIN.search(self._data)
        if begin is None:
            if len(self._data) > _MOST_BETWEEN:
                self.lost = "no picture in what it sends"
            del self._data[: -len(_PNG)]  # the beginning of one may be its end
            return False
        del self._data[: begin.start()]
        self._inside, self._place, self._in_scan = True, 2, False
        return True

    def _jpeg_end(self) -> tuple[int, bool] | None:
        """Where the picture ends and whether it is whole; None: not yet."""
        data = self._data
        while True:
            if self._in_scan:
                found = _MARKER.search(data, self._place)
                if found is None:  # a marker may be cut in two
                    self._place = max(self._place, len(data.rstrip(b"\xff")))
                    return None
                self._place = found.end() - 2
                self._in_scan = False
            if len(data) < self._place + 4:
                whole = len(data) >= self._place + 2 and data[self._place : self._place + 2] == b"\xff\xd9"
                return (self._place + 2, True) if whole else None
            mark, code = data[self._place], data[self._place + 1]
            if mark == 0xFF and code == _EOI:
                return self._place + 2, True
            if mark == 0xFF and code == 0xFF:  # fill
                self._place += 1
            elif mark == 0xFF and code == _SOI:
                return self._place, False
            elif mark != 0xFF or code < 0xC0:
                return self._next_begin()
            else:
                ends = self._place + 2 + int.from_bytes(data[self._place + 2 : self._place + 4], "big")
                if len(data) < ends + 2:  # there is at least an end behind it
                    return None
                # Tables that hold the beginning of a picture were cut off; an application's segment has a thumbnail.
                if code not in _APPLICATION and _JPEG in data[self._place : ends + 2]:
                    return self._next_begin()
                self._place, self._in_scan = ends, code == _SOS

    def _next_begin(self) -> tuple[int, bool] | None:
        """Where the next picture begins: this one's structure is broken."""
        found = _BEGIN.search(self._data, 2)
        return (found.start(), False) if found is not None else None

    def _png_end(self) -> tuple[int, bool] | None:
        self._place = max(self._place, len(_PNG))
        while len(self._data) >= self._place + 12:
            length = int.from_bytes(self._data[self._place : self._place + 4], "big")
            kind = bytes(self._data[self._place + 4 : self._place + 8])
            if not kind.isalpha():
                return self._next_begin()
            if len(self._data) < self._place + 12 + length:
                # It is long in coming if this was cut off: a picture that begins on a line of its own is the next.
                found = _BEGIN_OF_LINE.search(self._data, 8)
                return None if found is None else (found.start() + 1, False)
            self._place += 12 + length
            if kind == b"IEND":
                return self._place, True
        return None
