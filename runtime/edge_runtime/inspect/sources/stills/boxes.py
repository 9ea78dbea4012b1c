"""JPEG 2000, AVIF and HEIC: boxes, of which the outer ones are checked here.

Sources: ISO/IEC 15444-1, annexes A and I; ISO/IEC 14496-12 (boxes) and 23008-12 (ispe).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode
from edge_runtime.inspect.sources.stills.extra import by_pillow
from edge_runtime.inspect.sources.stills.items import boxes, pictures_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_heif", "open_jpeg2000"]

_SIZE = re.compile(rb"ispe\0\0\0\0(.{8})", re.DOTALL)
_DEPTH = re.compile(rb"pixi\0\0\0\0[\1-\4](.)", re.DOTALL)
_TURN, _MIRROR = (re.compile(rb"\0\0\0\x09" + kind + rb"(.)", re.DOTALL) for kind in (b"irot", b"imir"))
_ZEROS = 96  # so many zero bytes on end are in no honest stream, unless of a large flat picture


def open_jpeg2000(data: bytes) -> Book:
    """Return the picture, of a .jp2 or a bare code stream. Raises DataError for what is not whole."""
    start = 0
    if not data.startswith(b"\xff\x4f\xff\x51"):
        start = next((begin for kind, begin, _ in boxes(data, 0, len(data)) if kind == b"jp2c"), -1)
    if start < 0 or not data.startswith(b"\xff\x4f\xff\x51", start):
        raise DataError("the JPEG 2000 ends early: it has no picture data")
    width, height, left, top = (int.from_bytes(data[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
    width, height = width - left, height - top
    if data.rfind(b"\xff\xd9", start) < 0:
        raise DataError("the JPEG 2000 ends early: it has no end marker")
    if data.find(bytes(max(_ZEROS, width * height >> 14)), start) >= 0:
        raise DataError("the JPEG 2000 is damaged: a part of its data is blank")
    bits = (data[start + 42] & 127) + 1 if len(data) > start + 42 else 8
    channels = int.from_bytes(data[start + 40 : start + 42], "big")
    look: Callable[[], NDArray[Any]] = functools.partial(decode, data, channels == 4)
    if channels == 2:
        look = functools.partial(by_pillow, data, "JPEG 2000", "gray with transparency")
    return Book([Page(height, width, look, 24, bits if 8 < bits < 16 else None)])


def open_heif(data: bytes) -> Book:
    """Return the picture of an AVIF or HEIC. Raises DataError for what is not whole, or not readable here."""
    kinds = {kind for kind, _, _ in boxes(data, 0, len(data))}
    if b"meta" not in kinds and b"moov" not in kinds:
        raise DataError("the file ends early: it has no picture data")
    sizes = [(int.from_bytes(s[4:], "big"), int.from_bytes(s[:4], "big")) for s in _SIZE.findall(data)]
    if not sizes:
        raise DataError("the picture has no size")
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    blank = bytes(max(_ZEROS, height * width >> 12))
    if any(kind == b"mdat" and data.find(blank, start, end) >= 0 for kind, start, end in boxes(data, 0, len(data))):
        raise DataError("the picture is damaged: a part of its data is blank")
    name = "AVIF" if b"avi" in data[8:32] else "HEIC"
    depth = _DEPTH.search(data)
    bits = depth[1][0] if depth is not None and 8 < depth[1][0] < 16 else None
    look = functools.partial(_heif, data, name)
    if b"moov" in kinds:
        return Book(
            [Page(height, width, look, 8, bits)], f"frames after the first of an animated {name} were not looked at"
        )
    count = 1 if b"pitm" not in data else pictures_in(data)
    if count > 1 and name == "AVIF":
        return Book([Page(height, width, look, 8, bits)], f"{count - 1} of the {count} pictures in it cannot be read")
    if count > 1:
        pages = [functools.partial(by_pillow, data, name, f"one of {count} pictures", n) for n in range(count)]
        return Book([Page(height, width, page, 8, bits) for page in pages])
    return Book([Page(height, width, look, 8, bits)])


def _heif(data: bytes, name: str) -> NDArray[Any]:
    turn, mirror = _TURN.search(data), _MIRROR.search(data)
    try:
        image = decode(data, b"auxiliary:alpha\0" in data or bool(turn or mirror))
    except DataError as error:
        return by_pillow(data, name, str(error))
    if turn:  # by quarters, against the clock; then mirrored: OpenCV does neither
        image = np.rot90(image, turn[1][0] & 3)
    if mirror:
        image = np.flip(image, 1 if mirror[1][0] & 1 else 0)
    return np.ascontiguousarray(image)
