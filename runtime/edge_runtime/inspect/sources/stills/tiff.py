"""TIFF: every page, its strips or tiles inside of the file, filled and, where they have a check sum, as it says.

Source: TIFF revision 6.0, and Adobe's technical notes 1 and 3 of 1994 for pages within pages and deflate. A page is
shown to OpenCV as the only one, by a header that points to it, and a fourth channel as one that means nothing: libtiff
multiplies colours by it otherwise.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.book import Book, Page, decode, random_in, run_of
from edge_runtime.inspect.sources.stills.extra import by_pillow
from edge_runtime.inspect.sources.stills.jpeg import whole_jpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_tiff"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8, 5: 8, 10: 8, 11: 4, 12: 8}
_WHOLE_NUMBERS = {1, 3, 4, 7, 13, 16, 18}
_PAGES, _TAGS, _PIECES = 65536, 4096, 1 << 22  # more of them are no picture
_DEFLATE, _LZW, _PLAIN, _PACKBITS = {8, 32946}, {5}, {1}, {32773}
_READ = _DEFLATE | _LZW | _PLAIN | _PACKBITS | {7}  # of the others OpenCV makes a black picture, or cannot be checked
_UNREAD = {
    **dict.fromkeys((2, 3, 4), "a fax machine's"),
    **{6: "JPEG of 1992", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 34933: "PNG", 34934: "JPEG XR"},
    **{50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
_DNG_VERSION = 50706
_JPEG, _JPEG_TABLES = 7, 347
_WITHIN, _EXTRA = 330, 338
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
        """Yield each page's place, tags and the place of the pointer to the next; after it, the pages within it."""
        wide, seen = (8, 20) if self.big else (4, 12), set[int]()
        waiting = [self.number(8, 8) if self.big else self.number(4, 4)]
        while waiting:
            place = waiting.pop()
            if not place:
                continue
            if place in seen or len(seen) >= _PAGES:
                raise DataError("the TIFF is damaged: its pages go round in a circle")
            seen.add(place)
            counted = 8 if self.big else 2
            count = self.number(place, counted)
            if count > _TAGS:
                raise DataError("the TIFF is damaged: a page has too many tags")
            end = place + counted + count * wide[1]
            tags = dict(self._tag(at) for at in range(place + counted, end, wide[1]))
            yield place, tags, end
            waiting += [self.number(end, wide[0]), *reversed(tags.get(_WITHIN, ()))]

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
    directories = list(file.directories())
    if any(_DNG_VERSION in tags for _, tags, _ in directories):
        raise DataError("a camera's raw picture (DNG), which cannot be read; convert it to a TIFF or PNG")
    largest = max((_area(tags) for _, tags, _ in directories if not _reduced(tags)), default=0)
    found = [
        _page(file, place, tags, after, len(directories) > 1)
        for place, tags, after in directories
        if not (_reduced(tags) and _area(tags) < largest)
    ]
    if not found:
        raise DataError("the TIFF has no page")
    return Book(found)


def _reduced(tags: Mapping[int, tuple[int, ...]]) -> bool:
    """Whether a page says that it is a smaller copy of another one."""
    return bool(_one(tags, 254, 0) & 1 or _one(tags, 255, 1) == 2)


def _area(tags: Mapping[int, tuple[int, ...]]) -> int:
    return _one(tags, 256, 0) * _one(tags, 257, 0)


def _one(tags: Mapping[int, tuple[int, ...]], tag: int, otherwise: int) -> int:
    return (tags.get(tag) or (otherwise,))[0]


def _page(file: _Pages, place: int, tags: Mapping[int, tuple[int, ...]], after: int, others: bool) -> Page:
    width, height = _one(tags, 256, 0), _one(tags, 257, 0)
    bits, samples, sample_format = _one(tags, 258, 1), _one(tags, 277, 1), _one(tags, 339, 1)
    if sample_format not in (1, 4) or bits > 16:
        kind = {2: "signed", 3: "floating-point"}.get(sample_format, f"{bits}-bit")
        raise DataError(f"a TIFF of {kind} numbers: what of them is white, nobody says; convert it to 8 or 16 bits")
    look = functools.partial(_whole, file, place, tags, after if others else 0)
    # Packed numbers come out of OpenCV brought up to 16 bits.
    return Page(height, width, look, max(3, samples) * (2 if bits > 8 else 1), 16 if 8 < bits < 16 else None)


def _whole(file: _Pages, place: int, tags: Mapping[int, tuple[int, ...]], after: int) -> NDArray[Any]:
    """Check a page and decode it, alone where `after` says where the pointer to the next one is."""
    _check(file, tags)
    samples, extra, shown = _one(tags, 277, 1), tags.get(_EXTRA, ()), file.data
    if after:
        shown = _alone(file, place, after)
    if samples == 2 and extra and extra[0] in (1, 2):
        return by_pillow(shown, "TIFF", "gray with transparency")
    if samples == 2:
        raise DataError("a TIFF of 2 channels, of which nobody says what the second one is")
    if samples != 4 or not any(kind in (1, 2) for kind in extra):
        return decode(shown)
    image = decode(_with_plain_channels(file, shown, place), True)
    return _apart(image) if extra[0] == 1 and image.ndim == 3 and image.shape[2] == 4 else image


def _with_plain_channels(file: _Pages, shown: bytes, place: int) -> bytes:
    """Return the file with a page's channels beyond the colours said to mean nothing."""
    counted, size, value = (8, 20, 12) if file.big else (2, 12, 8)
    for at in range(place + counted, place + counted + file.number(place, counted) * size, size):
        if file.number(at, 2) == _EXTRA:
            return shown[: at + value] + bytes(2) + shown[at + value + 2 :]
    return shown


def _apart(image: NDArray[Any]) -> NDArray[Any]:
    """Bring colours that were multiplied by their alpha to what they were before; where it is 0 there are none."""
    most = 255 if image.dtype == np.uint8 else 65535
    for row in image:
        alpha = row[:, 3:].astype(np.float32)
        colours = np.where(alpha > 0, row[:, :3] * (most / np.maximum(alpha, 1)), row[:, :3])
        row[:, :3] = np.rint(np.minimum(colours, most)).astype(image.dtype)
    return image


def _alone(file: _Pages, place: int, after: int) -> bytes:
    """Return the file with a header that points to one page, after which there is none."""
    wide = 8 if file.big else 4
    shown = bytearray(file.data)
    start = 8 if file.big else 4
    shown[start : start + wide] = place.to_bytes(wide, file.order)
    shown[after : after + wide] = bytes(wide)
    return bytes(shown)


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
    if compression not in _READ:
        what = _UNREAD.get(compression, f"number {compression}")
        raise DataError(f"a TIFF whose compression is {what}, which is not read here; save it with deflate or LZW")
    for index, (start, length) in enumerate(zip(starts[:count], lengths[:count], strict=True)):
        if length == 0 or start == 0 or start + length > len(file.data):
            raise DataError(f"the TIFF ends early: piece {index + 1} of {count} is not in the file")
        held = rows if tiled else min(rows, height - index % (count // planes) * rows)
        _check_piece(file.data, start, length, compression, held * stride, rows * stride, index + 1)
        if compression == _JPEG:
            piece, tables = file.data[start : start + length], bytes(tags.get(_JPEG_TABLES, ()))[:-2]
            whole_jpeg(tables + piece[2:] if tables else piece)
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
