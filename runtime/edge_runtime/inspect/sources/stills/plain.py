"""BMP, PNM and Sun raster: pixels as they are behind a header, which is read here; OpenCV refuses what is too short.

Nothing in them tells a changed pixel from a true one; a part that was never written, or overwritten with what is no
picture, is looked for (book.run_of, random_in).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode, random_in, run_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_bmp", "open_pnm", "open_sun"]

_PNM = re.compile(rb"P([1-6])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:(?:\s|#[^\n]*\n)+(\d+))?\s")
# What may stand between two pictures, and the beginning of the next.
_NEXT = re.compile(rb"(?:\s|#[^\n]*\n)*P[1-7]")
_BITMAP = re.compile(rb"P[14](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")


def _check(data: bytes, start: int, end: int, stride: int) -> None:
    """Raise DataError for pixels of one byte a value of which a part was never written, or overwritten."""
    if run_of(data, start, end, stride):
        raise DataError("a part of the file is blank: it was never written")
    if random_in(data, start, end):
        raise DataError("a part of the file is random bytes: something else was written over it")


def open_bmp(data: bytes) -> Book:
    """Return the picture. Raises DataError for what is not whole."""
    if len(data) < 54:
        raise DataError("the BMP ends early")
    start, header = (int.from_bytes(data[at : at + 4], "little") for at in (10, 14))
    size = 2 if header == 12 else 4
    width, height = (int.from_bytes(data[18 + i * size : 18 + (i + 1) * size], "little", signed=True) for i in (0, 1))
    bits = int.from_bytes(data[18 + 2 * size + 2 : 18 + 2 * size + 4], "little")
    packed = header != 12 and int.from_bytes(data[30:34], "little") in (1, 2)
    stride = (width * bits + 31) // 32 * 4
    end = start + stride * abs(height)
    if not packed and end > len(data):
        raise DataError(f"the BMP ends early: {len(data)} of {end} bytes are there")
    if not packed and bits in (8, 24) and width > 0:
        _check(data, start, end, stride)
    look = functools.partial(_bitmap, data, start, stride, height) if bits == 32 else functools.partial(decode, data)
    return Book([Page(abs(height), width, look, 8 if bits == 32 else 3)])


def _bitmap(data: bytes, start: int, stride: int, height: int) -> NDArray[Any]:
    """Decode 32 bits a pixel with their alpha, which OpenCV drops where the header does not name it."""
    image = decode(data, True)
    rows, end = abs(height), start + stride * abs(height)
    if image.ndim != 3 or image.shape[2] != 3 or end > len(data):
        return image
    alpha = np.frombuffer(data, np.uint8, end - start, start).reshape(rows, -1, 4)[..., 3]
    return np.dstack([image, alpha if height < 0 else alpha[::-1]])


def open_pnm(data: bytes) -> Book:
    """Return a PBM, PGM or PPM. Raises DataError for what is not whole, for several in one file, and for a PAM."""
    bitmap = data[1:2] in b"14"
    found = (_BITMAP if bitmap else _PNM).match(data)
    if found is None:
        raise DataError("a PNM whose header cannot be read" + ": PAM, which is not known here" * (data[1:2] == b"7"))
    width, height = (int(value) for value in (found.groups() if bitmap else found.groups()[1:3]))
    white = 1 if bitmap else int(found[4] or 0)
    if not 0 < white < 65536:
        raise DataError("a PNM whose header says no white")
    channels, wide = (3 if data[1:2] in b"36" else 1), (2 if white > 255 else 1)
    if data[1:2] in b"456":
        stride = -(-width // 8) if bitmap else width * channels * wide
        end = found.end() + stride * height
        if end > len(data):
            raise DataError(f"the PNM ends early: {len(data)} of {end} bytes are there")
        if not bitmap and wide == 1:
            _check(data, found.end(), end, stride)
        more = _NEXT.match(data, end) is not None
    else:
        values = width * height * channels
        there = len(data[found.end() :].split()) if not bitmap else len(re.findall(rb"[01]", data[found.end() :]))
        if there < values:
            raise DataError(f"the PNM ends early: {there} of {values} values are there")
        more = data.find(b"\nP", found.end()) >= 0
    look = functools.partial(_scaled, data, 255 if bitmap else white)
    # Whoever has 12 bits in 16 writes 65535 as well.
    page = Page(height, width, look, 3 * wide, white.bit_length() if 255 < white < 65535 else None)
    return Book([page], "pictures after the first of a PNM were not looked at" if more else "")


def _scaled(data: bytes, white: int) -> NDArray[Any]:
    """Decode; where white is less than 255, OpenCV leaves the numbers as they are."""
    image = decode(data)
    if white >= 255:
        return image
    return cv2.LUT(image, (np.minimum(np.arange(256), white) * 255 / white).round().astype(np.uint8))


def open_sun(data: bytes) -> Book:
    """Return the picture. Raises DataError for what is not whole."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (4, 8))
    bits, coding, colours = (int.from_bytes(data[at : at + 4], "big") for at in (12, 20, 28))
    start, stride = 32 + colours, -(-width * bits // 16) * 2
    end = min(len(data), start + stride * height)
    if coding < 2 and bits in (8, 24) and width:
        _check(data, start, end, stride)
    return Book([Page(height, width, functools.partial(decode, data))])
