"""WebP, animated too. Sources: RFC 9649, and RFC 6386 for VP8.

Neither of its codings has a check sum, but both know how many pixels there are: the last one takes the last bytes. What
was damaged ends too early, of which libwebp complains, or too late, and then it can do without those bytes.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode
from edge_runtime.inspect.sources.stills.canvas import Canvas, Patch
from edge_runtime.inspect.sources.stills.upright import orientation_in, upright

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_webp"]

# So many zero bytes on end are in no honest VP8 stream, unless of a large flat picture; VP8L has them.
_ZEROS = 96
# Bytes at the end that a decoder may not need: encoders fill up the last one; of libwebp's, VP8 leaves 3, VP8L 1.
_SPARE = {b"VP8 ": 6, b"VP8L": 3}
_LEAST = 64  # bytes; OpenCV complains of a file of fewer


def open_webp(data: bytes) -> Book:
    """Return the picture, or the frames of an animation. Raises DataError for what is not whole."""
    size = 8 + int.from_bytes(data[4:8], "little")
    if size > len(data):
        raise DataError(f"the WebP ends early: {len(data)} of {size} bytes are there")
    chunks = list(_chunks(data, 12, size))
    kinds = [kind for kind, _ in chunks]
    extended = dict(chunks).get(b"VP8X", b"")
    frames = [body for kind, body in chunks if kind == b"ANMF"]
    turn = orientation_in(dict(chunks).get(b"EXIF", b"").removeprefix(b"Exif\0\0"))
    if len(extended) >= 10 and frames:
        width, height = (1 + int.from_bytes(extended[i : i + 3], "little") for i in (4, 7))
        canvas = Canvas(height, width, [_patch(body) for body in frames])
        return Book(
            [
                Page(height, width, functools.partial(_turned, functools.partial(canvas.page, n), turn), 12)
                for n in range(len(frames))
            ]
        )
    if b"VP8 " not in kinds and b"VP8L" not in kinds:
        raise DataError("the WebP ends early: it has no picture data")
    height, width, alpha = _size(chunks)
    look = functools.partial(_whole, data.ljust(_LEAST, b"\0"), chunks, alpha or turn > 1)
    return Book([Page(height, width, functools.partial(_turned, look, turn), 4)])


def _turned(look: Callable[[], NDArray[Any]], turn: int) -> NDArray[Any]:
    """Decode, upright: what is decoded with its transparency OpenCV does not turn, and 4.8 turns no WebP."""
    return np.ascontiguousarray(upright(look(), turn))


def _chunks(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    while place + 8 <= end:
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        if place + 8 + length > end:
            raise DataError("the WebP ends early: a chunk is longer than the file")
        yield data[place : place + 4], data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _size(chunks: list[tuple[bytes, bytes]]) -> tuple[int, int, bool]:
    """Return height, width and whether there is transparency. Raises DataError for blanked data."""
    alpha, height, width = any(kind == b"ALPH" for kind, _ in chunks), 0, 0
    for kind, body in chunks:
        if kind == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            width, height, alpha = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha or bool(bits >> 28 & 1)
        elif kind == b"VP8 " and len(body) >= 10:
            width, height = (int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        else:
            continue
        if kind == b"VP8 " and body.find(bytes(max(_ZEROS, width * height >> 12))) >= 0:
            raise DataError("the WebP is damaged: a part of its data is blank")
    return height, width, alpha


def _whole(file: bytes, chunks: list[tuple[bytes, bytes]], alpha: bool) -> NDArray[Any]:
    """Decode. Raises DataError for data that is too short, and for data of which the end was not needed.

    libwebp reads on into what follows the pixels: metadata, and the byte that makes a length even.
    """
    bare = [(kind, body) for kind, body in chunks if kind in (b"VP8X", b"ALPH", b"VP8 ", b"VP8L")]
    image = decode(file, alpha)
    last, body = bare[-1]
    if len(body) < _LEAST:
        return image
    if len(bare) < len(chunks):
        decode(_file(bare), alpha)
    spare = _SPARE.get(last, 0)
    bare[-1] = last, body[: len(body) - spare - (len(body) - spare) % 2]
    if spare and _decodes(_file(bare), alpha):
        raise DataError("the WebP is damaged: its pixels end before its data")
    return image


def _decodes(file: bytes, alpha: bool) -> bool:
    try:
        decode(file, alpha)
    except DataError:
        return False
    return True


def _file(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = b"".join(kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for kind, part in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def _patch(body: bytes) -> Patch:
    left, top, width, height = (int.from_bytes(body[i : i + 3], "little") for i in (0, 3, 6, 9))
    width, height, flags, inner = width + 1, height + 1, body[15] if len(body) > 15 else 0, body[16:]
    chunks = [(kind, part) for kind, part in _chunks(inner, 0, len(inner)) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
    alpha = _size(chunks)[2]
    if any(kind == b"ALPH" for kind, _ in chunks):
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks.insert(0, (b"VP8X", b"\x10\0\0\0" + size))
    look = functools.partial(_whole, _file(chunks).ljust(_LEAST, b"\0"), chunks, alpha)
    return Patch(left * 2, top * 2, height, width, look, not flags & 2, "clear" if flags & 1 else "keep")
