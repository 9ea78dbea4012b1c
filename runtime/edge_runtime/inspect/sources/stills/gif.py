"""GIF: its blocks are walked and its codes counted, then its frames are decoded.

Source: CompuServe, Graphics Interchange Format, version 89a.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page
from edge_runtime.inspect.sources.stills.extra import by_pillow

__all__ = ["open_gif", "whole_gif"]


def open_gif(data: bytes) -> Book:
    """Return the frames. Raises DataError for what is not whole."""
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (6, 8))
    frames = _frames(data)
    film = _Film(data, frames)
    return Book([Page(height, width, functools.partial(film.page, n), 4 * (frames + 1)) for n in range(frames)])


def whole_gif(path: Path) -> bool:
    """Whether a file is a GIF with all of its frames."""
    try:
        return _frames(path.read_bytes()) > 0
    except (OSError, DataError):
        return False


def _frames(data: bytes) -> int:
    """Count the frames. Raises DataError for a file that ends early, and for a frame whose pixels are not all there."""
    if len(data) < 13:
        raise DataError("the GIF ends early")
    place, frames = 13 + _table(data[10]), 0
    while place < len(data):
        block = data[place]
        if block == 0x3B:
            if not frames:
                raise DataError("the GIF has no picture")
            return frames
        if block == 0x21:
            place, _ = _pieces(data, place + 2)
        elif block == 0x2C and place + 10 < len(data):
            wide, high = (int.from_bytes(data[place + at : place + at + 2], "little") for at in (5, 7))
            start = place + 10 + _table(data[place + 9])
            place, packed = _pieces(data, start + 1)
            pixels = _unpacked(packed, data[start])
            if pixels != wide * high:
                what = "not all of its pixels" if pixels < wide * high else "more pixels than it says"
                raise DataError(f"the GIF is damaged: frame {frames + 1} has {what}")
            frames += 1
        else:
            break
    raise DataError("the GIF ends early")


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _pieces(data: bytes, place: int) -> tuple[int, bytes]:
    pieces: list[bytes] = []
    while place < len(data):
        length = data[place]
        if not length:
            return place + 1, b"".join(pieces)
        pieces.append(data[place + 1 : place + 1 + length])
        place += 1 + length
    raise DataError("the GIF ends early")


def _unpacked(packed: bytes, least: int) -> int:
    """Count the pixels that LZW codes stand for; 0 for codes that stand for nothing."""
    if not 1 <= least <= 8:
        return 0
    clear, size, pixels, before = 1 << least, least + 1, 0, 0
    lengths = [1] * (clear + 2)
    held = bits = 0
    for byte in packed:
        held |= byte << bits
        bits += 8
        while bits >= size:
            code, held, bits = held & (1 << size) - 1, held >> size, bits - size
            if code == clear:
                size, before = least + 1, 0
                del lengths[clear + 2 :]
                continue
            if code == clear + 1:
                return pixels
            if code > len(lengths) or (code == len(lengths) and not before):
                return 0
            if before and len(lengths) < 4096:
                lengths.append(before + 1)
                if len(lengths) == 1 << size and size < 12:
                    size += 1
            elif code == len(lengths):
                return 0
            before = lengths[code]
            pixels += before
    return pixels


class _Film:
    """The frames, decoded once."""

    def __init__(self, data: bytes, count: int) -> None:
        self._data, self._count = data, count
        self._read: Any = None

    def page(self, number: int) -> Any:
        if self._read is None:
            self._read = self._decode()
        if not self._read:
            return by_pillow(self._data, "GIF", "this OpenCV reads no GIF", number)
        return self._read[number]

    def _decode(self) -> Any:
        if not hasattr(cv2, "imdecodeanimation"):
            return ()
        try:
            done, film = cv2.imdecodeanimation(np.frombuffer(self._data, np.uint8))
        except cv2.error:
            return ()
        return film.frames if done and len(film.frames) == self._count else ()
