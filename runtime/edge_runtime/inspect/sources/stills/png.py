"""PNG and APNG: chunks with their check sums, and the frames of an animation laid on each other.

Source: PNG Specification, third edition (W3C, 2025). OpenCV refuses a zlib stream that is short or damaged.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode
from edge_runtime.inspect.sources.stills.canvas import Canvas, Patch
from edge_runtime.inspect.sources.stills.upright import orientation_in, upright

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_png"]

_MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# What a frame of its own needs of the chunks before the first IDAT.
_NEEDED = {b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"}


@dataclass
class _Frame:
    control: bytes
    data: list[bytes] = field(default_factory=list)


def open_png(data: bytes) -> Book:
    """Return the picture, or the frames of an APNG. Raises DataError for what is not whole."""
    header, before, key, frames, animated = b"", b"", b"", list[_Frame](), False
    alpha, turn = False, 1
    for kind, view, place in _chunks(data):
        if kind == b"IDAT" and not animated:
            continue
        body = bytes(view)
        if kind == b"IHDR":
            header = body
            alpha = len(body) > 9 and body[9] in (4, 6)
        elif kind == b"eXIf":
            turn = orientation_in(body)
        elif kind == b"acTL":
            animated = True
        elif kind == b"fcTL":
            frames.append(_Frame(body))
        elif kind == b"fdAT" and frames:
            frames[-1].data.append(body[4:])
        elif kind == b"IDAT":
            if frames and len(frames) == 1:
                frames[0].data.append(body)
        elif kind in _NEEDED:
            before += data[place : place + 12 + len(body)]
            alpha = alpha or kind == b"tRNS"
            key = body if kind == b"tRNS" and len(header) > 9 and header[9] in (0, 2) else key
    if len(header) != 13:
        raise DataError("the PNG has no header")
    width, height, depth, _ = struct.unpack(">IIBB", header[:10])
    pixel_bytes = max(3, (2 if depth == 16 else 1) * (4 if alpha else 3)) * (3 if key else 1)
    if not (animated and len(frames) > 1):
        return Book([Page(height, width, functools.partial(_turned, data, alpha, key, depth, turn), pixel_bytes)])
    patches = [_patch(header, before, key, frame) for frame in frames]
    canvas = Canvas(height, width, patches)
    return Book([Page(height, width, functools.partial(_page, canvas, n, turn), 12) for n in range(len(patches))])


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield each chunk's kind, body and place. Raises DataError for one that is cut or damaged."""
    place, view = len(_MAGIC), memoryview(data)
    while place + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 12 + length
        if end > len(data):
            break
        body = view[place + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            raise DataError(f"the PNG is damaged: the check sum of its {kind.decode('latin-1')} chunk does not fit")
        if kind == b"IEND":
            return
        yield kind, body, place
        place = end
    raise DataError("the PNG ends early")


def _turned(file: bytes, alpha: bool, key: bytes, depth: int, turn: int) -> NDArray[Any]:
    """Decode, upright: OpenCV turns what has no transparency alone."""
    image = _decoded(file, alpha, key, depth)
    return np.ascontiguousarray(upright(image, turn)) if alpha else image


def _page(canvas: Canvas, number: int, turn: int) -> NDArray[Any]:
    return np.ascontiguousarray(upright(canvas.page(number), turn))


def _decoded(file: bytes, alpha: bool, key: bytes, depth: int) -> NDArray[Any]:
    """Decode; `key`: the one gray or colour that is transparent, which OpenCV tells of some kinds only."""
    image = decode(file, alpha)
    colours = 1 if image.ndim == 2 else image.shape[2]
    if len(key) != 2 * colours or colours > 3:
        return image
    levels = np.array(struct.unpack(f">{colours}H", key)[::-1], np.uint32)
    levels = levels if depth >= 8 else levels * 255 // ((1 << depth) - 1)
    opaque = (image.reshape(*image.shape[:2], colours) != levels).any(axis=2)
    whole = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if colours == 1 else cv2.COLOR_BGR2BGRA)
    return np.dstack([whole[..., :3], opaque.astype(image.dtype) * np.iinfo(image.dtype).max])


def _patch(header: bytes, before: bytes, key: bytes, frame: _Frame) -> Patch:
    if len(frame.control) != 26 or not frame.data:
        raise DataError("a frame of the animated PNG has no data")
    _, width, height, left, top, _, _, dispose, blend = struct.unpack(">IIIIIHHBB", frame.control)
    parts: Sequence[tuple[bytes, bytes]] = (
        (b"IHDR", struct.pack(">II", width, height) + header[8:]),
        (b"", before),
        *((b"IDAT", piece) for piece in frame.data),
        (b"IEND", b""),
    )
    file = _MAGIC + b"".join(_chunk(kind, body) if kind else body for kind, body in parts)
    disposal = {1: "clear", 2: "back"}.get(dispose, "keep")
    look = functools.partial(_decoded, file, True, key, header[8])
    return Patch(left, top, height, width, look, blend == 1, disposal)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
