"""Files that promise more rows than they hold: every checksum is right, and the rest was never written.

A file of the upper rows alone is made, and its header then says the height of the whole.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_tools.damage.encode import Format

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["rows_missing"]


def rows_missing(form: Format, picture: NDArray[np.uint8], severity: float) -> bytes | None:
    """Return a file of a picture [height, width] that lacks its lower rows; None where a format has no such file."""
    taller = _TALLER.get(form.suffix)
    height = picture.shape[0]
    kept = max(16, int(height * (1 - severity)) // 16 * 16)
    if taller is None or form.pages > 1 or kept == height:
        return None
    return taller(form(picture[:kept], picture[:kept]), kept, height)


def _jpeg(data: bytes, kept: int, height: int) -> bytes | None:
    place = 2
    while place + 9 < len(data):
        marker, size = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xC2:
            return data[: place + 5] + height.to_bytes(2, "big") + data[place + 7 :]
        place += 2 + size
    return None


def _png(data: bytes, kept: int, height: int) -> bytes:
    header = data[12:20] + height.to_bytes(4, "big") + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def _bmp(data: bytes, kept: int, height: int) -> bytes:
    return data[:22] + struct.pack("<i", height) + data[26:]  # rows stand bottom up: the top is what is missing


def _pnm(data: bytes, kept: int, height: int) -> bytes:
    return data.replace(b" %d\n" % kept, b" %d\n" % height, 1)


def _tiff(data: bytes, kept: int, height: int) -> bytes | None:
    if data[:2] != b"II":
        return None
    found = bytearray(data)
    place = int.from_bytes(data[4:8], "little")
    for entry in range(int.from_bytes(data[place : place + 2], "little")):
        at = place + 2 + 12 * entry
        if int.from_bytes(data[at : at + 2], "little") == 257:  # ImageLength
            found[at + 8 : at + 12] = struct.pack("<I", height)
    return bytes(found)


def _gif(data: bytes, kept: int, height: int) -> bytes:
    size = height.to_bytes(2, "little")
    at = data.find(b"\x2c\0\0\0\0", 13)
    return data[:8] + size + data[10 : at + 7] + size + data[at + 9 :]


_TALLER: dict[str, Callable[[bytes, int, int], bytes | None]] = {
    ".jpg": _jpeg,
    ".png": _png,
    ".bmp": _bmp,
    ".pgm": _pnm,
    ".ppm": _pnm,
    ".tif": _tiff,
    ".gif": _gif,
}
