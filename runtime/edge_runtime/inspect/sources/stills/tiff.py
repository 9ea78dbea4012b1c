"""TIFF: every page, its strips or tiles inside of the file, filled and, where they have a check sum, as it says.

Source: TIFF revision 6.0, and Adobe's technical note 3 of 1994 for deflate. A page is shown to OpenCV as the only one,
by a header that points to it.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode, random_in, run_of
from edge_runtime.inspect.sources.stills.jpeg import whole_jpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_tiff"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8, 5: 8, 10: 8, 11: 4, 12: 8}
_WHOLE_NUMBERS = {1, 3, 4, 7, 13, 16, 18}
_PAGES, _TAGS, _PIECES = 65536, 4096, 1 << 22  # more of them are no picture
_DEFLATE, _LZW, _PLAIN, _PACKBITS = {8, 32946}, {5}, {1}, {32773}
_DNG_VERSION = 50706
_JPEG, _JPEG_TABLES = 7, 347
_AT_ONCE = 1 << 18  # bytes that are inflated at a time
_LZW_WALKED = 2 << 20  # bytes: to count the codes of more takes seconds


@dataclass(frozen=True)
class _Pages:
    """The bytes with what their header says: the order of bytes, and BigTIFF's wider numbers."""

    data: bytes
    order: Literal["little", "big"]
    big: bool

    def number(self, place: int, size: int) -> int:
        if place < 0 or place + size > len(self.data):
            raise DataError("the TIFF ends early: its tables lie outside of the file")
        return int.from_bytes(self.data[place : place + size], self.order)

    def directories(self) -> Iterator[tuple[int, Mapping[int, tuple[int, ...]], int]]:
        """Yield each page's place, tags and the place of the pointer to the next."""
        wide, seen = (8, 20) if self.big else (4, 12), set[int]()
        place = self.number(8, 8) if self.big else self.number(4, 4)
        while place:
            if place in seen or len(seen) >= _PAGES:
                raise DataError("the TIFF is damaged: its pages go round in a circle")
            seen.add(place)
            counted = 8 if self.big else 2
            count = self.number(place, counted)
            if count > _TAGS:
                raise DataError("the TIFF is damaged: a page has too many tags")
            end = place + counted + count * wide[1]
            tags = [self._tag(at) for at in range(place + counted, end, wide[1])]
            yield place, dict(tags), end
            place = self.number(end, wide[0])

    def _tag(self, place: int) -> tuple[int, tuple[int, ...]]:
        tag, kind = self.number(place, 2), self.number(place + 2, 2)
        wide = 8 if self.big else 4
        count, size = self.number(place + 4, wide), _SIZES.get(kind, 1)
        at = place + 4 + wide
        if count * size > wide:
            at = self.number(at, wide)
        if kind not in _WHOLE_NUMBERS or count > _PIECES:
            return tag, ()
        return tag, tuple(self.number(at + i * size, size) for i in range(count))


def open_tiff(data: bytes) -> Book:
    """Return the pages of a TIFF. Raises DataError for what is not whole, and for a camera's raw file."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    file = _Pages(data, order, data[2:4] in (b"+\0", b"\0+"))
    found = []
    for place, tags, after in file.directories():
        if _DNG_VERSION in tags:
            raise DataError("a camera's raw picture (DNG), which cannot be read; convert it to a TIFF or PNG")
        if _one(tags, 254, 0) & 1 or _one(tags, 255, 1) == 2:  # a smaller copy of another page
            continue
        found.append(_page(file, place, tags, after))
    if not found:
        raise DataError("the TIFF has no page")
    return Book(found)


def _one(tags: Mapping[int, tuple[int, ...]], tag: int, otherwise: int) -> int:
    return (tags.get(tag) or (otherwise,))[0]


def _page(file: _Pages, place: int, tags: Mapping[int, tuple[int, ...]], after: int) -> Page:
    width, height = _one(tags, 256, 0), _one(tags, 257, 0)
    bits, samples, sample_format = _one(tags, 258, 1), _one(tags, 277, 1), _one(tags, 339, 1)
    if sample_format not in (1, 4) or bits > 16:
        what = "floating-point numbers" if sample_format == 3 else f"{bits}-bit numbers"
        raise DataError(f"a TIFF of {what}: what of them is white, nobody says; convert it to 8 or 16 bits")
    shown = file.data
    others = sum(1 for _ in file.directories()) > 1
    if others:
        shown = _alone(file, place, after)
    extra = any(kind in (1, 2) for kind in tags.get(338, ()))
    kept = functools.partial(_whole, file, tags, shown, extra)
    return Page(height, width, kept, max(3, samples) * (2 if bits > 8 else 1), bits if 8 < bits < 16 else None)


def _alone(file: _Pages, place: int, after: int) -> bytes:
    """Return the file with a header that points to one page, after which there is none."""
    wide = 8 if file.big else 4
    shown = bytearray(file.data)
    start = 8 if file.big else 4
    shown[start : start + wide] = place.to_bytes(wide, file.order)
    shown[after : after + wide] = bytes(wide)
    return bytes(shown)


def _whole(file: _Pages, tags: Mapping[int, tuple[int, ...]], shown: bytes, alpha: bool) -> NDArray[Any]:
    _check(file, tags)
    return decode(shown, alpha)


def _check(file: _Pages, tags: Mapping[int, tuple[int, ...]]) -> None:
    """Raise DataError for a page whose strips or tiles are not all there."""
    tiled = 322 in tags
    starts, lengths = tags.get(324 if tiled else 273, ()), tags.get(325 if tiled else 279, ())
    width, height, samples = _one(tags, 256, 0), _one(tags, 257, 0), _one(tags, 277, 1)
    bits, planes = _one(tags, 258, 1), samples if _one(tags, 284, 1) == 2 else 1
    if tiled:
        across, down = _one(tags, 322, 0), _one(tags, 323, 0)
        if not across or not down:
            raise DataError("the TIFF is damaged: its tiles have no size")
        count, rows = -(-width // across) * -(-height // down) * planes, down
    else:
        across, rows = width, min(_one(tags, 278, height), height) or height
        count = -(-height // rows) * planes
    if len(starts) < count or len(lengths) < count:
        raise DataError(f"the TIFF ends early: it has {min(len(starts), len(lengths))} of {count} pieces")
    compression, stride = _one(tags, 259, 1), -(-across * samples // planes * bits // 8)
    for index, (start, length) in enumerate(zip(starts[:count], lengths[:count], strict=True)):
        if length == 0 or start == 0 or start + length > len(file.data):
            raise DataError(f"the TIFF ends early: piece {index + 1} of {count} is not in the file")
        held = rows if tiled else min(rows, height - index % (count // planes) * rows)
        _check_piece(file.data, start, length, compression, held * stride, rows * stride, index + 1)
        if compression == _JPEG:
            whole_jpeg(bytes(tags.get(_JPEG_TABLES, ()))[:-2] + file.data[start : start + length][2:])
    one_piece = all(a + n == b for a, n, b in zip(starts, lengths, starts[1:], strict=False))
    if compression in _PLAIN and one_piece and not tiled and bits == 8 and planes == 1:
        end = starts[0] + min(sum(lengths[:count]), stride * height)
        if run_of(file.data, starts[0], end, stride):
            raise DataError("the TIFF is damaged: a part of it is blank")
        if random_in(file.data, starts[0], end):
            raise DataError("the TIFF is damaged: a part of it is random bytes, something else was written over it")


def _check_piece(data: bytes, start: int, length: int, compression: int, size: int, most: int, number: int) -> None:
    piece = memoryview(data)[start : start + length]
    if compression in _PLAIN and length < size:
        raise DataError(f"the TIFF ends early: piece {number} has {length} of {size} bytes")
    if compression in _DEFLATE:
        try:
            unpacked = _inflated(piece, most)
        except zlib.error as error:
            raise DataError(f"the TIFF is damaged: piece {number} ({error})") from error
        if unpacked < size:
            raise DataError(f"the TIFF ends early: piece {number} has {unpacked} of {size} bytes")
    # An LZW coder never writes a code twice in a row: the second time it is part of a longer one.
    if compression in _LZW and data.find(bytes(8), start, start + length) >= 0:
        raise DataError(f"the TIFF is damaged: piece {number} is blank in parts")
    if compression in _LZW and length <= _LZW_WALKED and not size <= _unpacked(piece) <= most:
        raise DataError(f"the TIFF is damaged: piece {number} has not just its {size} bytes")
    blank = compression in _PACKBITS and data.find(bytes(16), start, start + length) >= 0
    if compression in _PACKBITS and (blank or not size <= _packbits(piece) <= most):
        raise DataError(f"the TIFF is damaged: piece {number} has not just its {size} bytes")


def _inflated(piece: memoryview, most: int) -> int:
    """Return how many bytes deflated data makes, `most` and one at most. Raises zlib.error, a wrong check sum too."""
    inflater, made, left = zlib.decompressobj(), 0, bytes(piece)
    while not inflater.eof and made <= most:
        part = len(inflater.decompress(left, _AT_ONCE))
        made, left = made + part, inflater.unconsumed_tail
        if not part and not left:
            break
    if not inflater.eof and made <= most:
        raise zlib.error("incomplete or truncated stream")
    return made


def _unpacked(piece: memoryview) -> int:
    """Count the bytes that LZW codes stand for; -1 for codes that stand for nothing, or have no end."""
    made = before = held = bits = 0
    size, lengths = 9, [1] * 258
    for byte in piece:
        held = (held << 8 | byte) & 0xFFFFFF
        bits += 8
        if bits < size:
            continue
        bits -= size
        code = held >> bits & (1 << size) - 1
        if code == 256:
            size, before = 9, 0
            del lengths[258:]
            continue
        if code == 257:
            return made
        if code > len(lengths) or (code == len(lengths) and not before):
            return -1
        if before and len(lengths) < 4096:
            lengths.append(before + 1)
            if len(lengths) + 1 == 1 << size and size < 12:  # one earlier than GIF's
                size += 1
        before = lengths[code]
        made += before
    return -1


def _packbits(piece: memoryview) -> int:
    """Return how many bytes run-length coded data makes."""
    place = made = 0
    while place < len(piece):
        head = piece[place]
        if head < 128:
            here = min(head + 1, len(piece) - place - 1)
            made, place = made + here, place + 1 + head + 1
        else:
            made, place = made + (257 - head if head > 128 and place + 1 < len(piece) else 0), place + 1 + (head > 128)
    return made
