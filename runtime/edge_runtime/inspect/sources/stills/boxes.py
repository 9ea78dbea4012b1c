"""JPEG 2000, AVIF and HEIC: boxes, of which the outer ones are checked here.

Sources: ISO/IEC 15444-1, annexes A and I; ISO/IEC 14496-12 (boxes) and 23008-12 (ispe).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode
from edge_runtime.inspect.sources.stills.extra import by_pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_heif", "open_jpeg2000"]

_SIZE = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)
_DEPTH = re.compile(rb"pixi\0\0\0\0[\1-\4](.)", re.DOTALL)
_ZEROS = 96  # so many zero bytes on end are in no honest stream, unless of a large flat picture


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each outer box. Raises DataError for one that is longer than the file."""
    place = 0
    while place + 8 <= len(data):
        length, kind, head = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        end = len(data) if length == 0 else place + length
        if end > len(data) or end < place + head:
            raise DataError("the file ends early: a part of it is longer than the file")
        yield kind, place + head, end
        place = end


def open_jpeg2000(data: bytes) -> Book:
    """Return the picture, of a .jp2 or a bare code stream. Raises DataError for what is not whole."""
    start = 0
    if not data.startswith(b"\xff\x4f\xff\x51"):
        start = next((begin for kind, begin, _ in _boxes(data) if kind == b"jp2c"), -1)
    if start < 0 or not data.startswith(b"\xff\x4f\xff\x51", start):
        raise DataError("the JPEG 2000 ends early: it has no picture data")
    width, height, left, top = (int.from_bytes(data[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
    width, height = width - left, height - top
    if data.rfind(b"\xff\xd9", start) < 0:
        raise DataError("the JPEG 2000 ends early: it has no end marker")
    if data.find(bytes(max(_ZEROS, width * height >> 14)), start) >= 0:
        raise DataError("the JPEG 2000 is damaged: a part of its data is blank")
    bits = (data[start + 42] & 127) + 1 if len(data) > start + 42 else 8
    look = functools.partial(decode, data)
    return Book([Page(height, width, look, 24, bits if 8 < bits < 16 else None)])


def open_heif(data: bytes) -> Book:
    """Return the picture of an AVIF or HEIC. Raises DataError for what is not whole, or not readable here."""
    kinds = {kind for kind, _, _ in _boxes(data)}
    if b"meta" not in kinds and b"moov" not in kinds:
        raise DataError("the file ends early: it has no picture data")
    sizes = [(int.from_bytes(s[4:], "big"), int.from_bytes(s[:4], "big")) for s in _SIZE.findall(data)]
    if not sizes:
        raise DataError("the picture has no size")
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    blank = bytes(max(_ZEROS, height * width >> 12))
    if any(kind == b"mdat" and data.find(blank, start, end) >= 0 for kind, start, end in _boxes(data)):
        raise DataError("the picture is damaged: a part of its data is blank")
    name = "AVIF" if b"avi" in data[8:32] else "HEIC"
    unseen = f"frames after the first of an animated {name} were not looked at" if b"moov" in kinds else ""
    depth = _DEPTH.search(data)
    bits = depth[1][0] if depth is not None and 8 < depth[1][0] < 16 else None
    return Book([Page(height, width, functools.partial(_heif, data, name), 8, bits)], unseen)


def _heif(data: bytes, name: str) -> NDArray[Any]:
    try:
        return decode(data)
    except DataError as error:
        return by_pillow(data, name, str(error))
