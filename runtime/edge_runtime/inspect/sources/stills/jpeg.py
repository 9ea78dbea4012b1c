"""JPEG: decoded by libjpeg-turbo with its warnings heard, for libjpeg fills what is missing with gray and goes on.

A picture is whole when it decodes without a warning. What is harmless of what honest cameras write (padding before a
marker, no end marker, a strange version number) is mended in the bytes and decoded again: a warning may hide another.
Sources: ITU-T T.81; libjpeg's jerror.h. No check sum protects a JPEG: a flipped bit that leaves the number of coded
blocks as it was cannot be told from a picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import simplejpeg

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.room import UNBOUNDED, Room
from edge_runtime.inspect.sources.stills.upright import orientation_in, upright

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["JpegLayout", "jpeg_layout", "whole_jpeg"]

_MENDED = 8  # times, at most
_PADDING = 16  # bytes before a marker that may be padding
# In entropy-coded data 0xFF is followed by 0, by a restart marker or by another 0xFF; everything else ends it.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x(\w\w)")
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_UNREAD_FRAMES = {
    0xC3: "lossless JPEG",
    0xCB: "lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
}


@dataclass
class JpegLayout:
    """What the markers say. `scans`: the places of the SOS markers. `ended`: there is an end marker."""

    height: int = 0
    width: int = 0
    components: int = 0
    progressive: bool = False
    orientation: int = 1
    scans: tuple[int, ...] = ()
    ended: bool = False
    adobe: int = -1  # where the Adobe segment's transform code is
    jfif: int = -1  # where JFIF's major version is
    index: int = -1  # where the table of several pictures in the file begins
    end: int = 0  # behind the end marker


def whole_jpeg(data: bytes, room: Room = UNBOUNDED, layout: JpegLayout | None = None) -> NDArray[np.uint8]:
    """Return a whole JPEG as uint8 [height, width, 3], BGR, upright as its EXIF says; the same pixels as OpenCV's.

    One too large for `room` comes out smaller where the model does not need all of it. Raises DataError with the
    reason for everything that is not whole.
    """
    layout = layout or jpeg_layout(data)
    image = _decoded(data, layout, room)
    return np.ascontiguousarray(upright(image, layout.orientation))


def jpeg_layout(data: bytes) -> JpegLayout:
    """Walk over the markers. Raises DataError where they lead nowhere, or to a kind that nobody here reads."""
    found = JpegLayout()
    coded: dict[tuple[int, int], int] = {}  # of a progressive picture: component, coefficient -> its lowest bit
    place = 2
    while not found.ended:
        start = data.find(b"\xff", place)
        if start < 0 or (start != place and not found.scans):
            break
        while start + 1 < len(data) and data[start + 1] == 0xFF:  # fill bytes
            start += 1
        if start + 4 > len(data) and data[start + 1 : start + 2] != b"\xd9":
            break
        marker = data[start + 1]
        if marker == 0xD9:
            found.ended, found.end = True, start + 2
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place = start + 2
            continue
        body, place = start + 4, start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if place > len(data):
            break
        segment = data[body:place]
        if marker in _UNREAD_FRAMES:
            raise DataError(f"a {_UNREAD_FRAMES[marker]}, which cannot be read")
        if marker in _FRAMES:
            _take_frame(found, marker, segment)
            coded = dict.fromkeys(_coefficients(segment), 99) if found.progressive else {}
        elif marker == 0xDA:
            found.scans += (start,)
            _take_scan(coded, segment)
            end = _END_OF_SCAN.search(data, place)
            if end is None:
                break
            place = end.start()
        elif marker == 0xE1 and segment.startswith(b"Exif\0\0") and found.orientation == 1:
            found.orientation = orientation_in(segment[6:])
        elif marker == 0xE2 and segment.startswith(b"MPF\0"):
            found.index = body + 4
        elif marker == 0xE0 and segment.startswith(b"JFIF\0"):
            found.jfif = body + 5
        elif marker == 0xEE and segment.startswith(b"Adobe") and len(segment) >= 12:
            found.adobe = body + 11
    if not found.scans or not found.components:
        raise DataError("the JPEG ends early: it has no picture data")
    if coded and max(coded.values()) > 0:
        raise DataError("the JPEG ends early: of its scans some are missing, so it is coarse")
    return found


def _take_frame(found: JpegLayout, marker: int, segment: bytes) -> None:
    if len(segment) < 6 or found.components:
        raise DataError("damaged JPEG header")
    if segment[0] != 8:
        raise DataError(f"a JPEG of {segment[0]} bits, which cannot be read; convert it to a 16-bit PNG or TIFF")
    found.height, found.width = (int.from_bytes(segment[i : i + 2], "big") for i in (1, 3))
    found.components, found.progressive = segment[5], marker in (0xC2, 0xCA)


def _coefficients(segment: bytes) -> list[tuple[int, int]]:
    return [(identity, k) for identity in segment[6::3][: segment[5]] for k in range(64)]


def _take_scan(coded: dict[tuple[int, int], int], segment: bytes) -> None:
    """Note down to which bit a scan brings its coefficients."""
    count = segment[0] if segment else 0
    if not coded or len(segment) < 1 + 2 * count + 3:
        return
    first, last, low = segment[1 + 2 * count], segment[2 + 2 * count], segment[3 + 2 * count] & 15
    for identity in segment[1 : 1 + 2 * count : 2]:
        coded.update({(identity, k): low for k in range(first, min(last, 63) + 1)})


def _decoded(data: bytes, layout: JpegLayout, room: Room) -> NDArray[np.uint8]:
    wanted = _wanted(data, layout, room)
    if not layout.ended:
        data += b"\xff\xd9"  # whether all is there, the decoder tells
    space = "BGR" if layout.components in (1, 3) else "CMYK"
    for _ in range(_MENDED):
        try:
            image = simplejpeg.decode_jpeg(
                data,
                space,
                fastdct=False,
                fastupsample=False,
                min_height=wanted[0],
                min_width=wanted[1],
                strict=True,
            )
        except ValueError as error:
            data = _mended(data, layout, str(error))
        else:
            return _fitted(_coloured(data, image, layout), room, layout)
    raise DataError("the JPEG's data is corrupt")


def _wanted(data: bytes, layout: JpegLayout, room: Room) -> tuple[int, int]:
    """Return the least height and width to decode to; 0: as it is. Raises DataError where that has no room."""
    height, width = layout.height, layout.width
    if room.fits(height, width) and not layout.progressive:
        room.check(height, width)
        return 0, 0
    if layout.progressive or layout.components == 4:  # all coefficients are held, whatever the size that is asked for
        room.check(height, width, len(data), 3 + 2 * layout.components)
        return 0, 0
    turned = layout.orientation > 4
    needed = room.needed(width, height)[::-1] if turned else room.needed(height, width)
    if needed[0] >= height or needed[1] >= width:
        room.check(height, width, len(data))
    # libjpeg scales by eighths. The largest that fits is best; what fits only while decoding, _fitted makes smaller.
    sizes = [(-(-height * eighths // 8), -(-width * eighths // 8)) for eighths in range(7, 0, -1)]
    enough = [size for size in sizes if size[0] >= needed[0] and size[1] >= needed[1]]
    fitting = [size for size in enough if size[0] * size[1] * 3 <= _target(room)]
    if fitting:
        return fitting[0]
    if not enough or enough[-1][0] * enough[-1][1] * 3 > room.kept + room.working:
        room.check(height, width, len(data))
    return enough[-1]


def _target(room: Room) -> int:
    return room.reduced or room.kept


def _fitted(image: NDArray[np.uint8], room: Room, layout: JpegLayout) -> NDArray[np.uint8]:
    """Make a picture that was decoded reduced, and is still larger than planned, as small as it has to be."""
    height, width = image.shape[:2]
    if (height, width) == (layout.height, layout.width) or height * width * 3 <= _target(room):
        return image
    ratio = (_target(room) / (height * width * 3)) ** 0.5
    size = (max(int(width * ratio), 1), max(int(height * ratio), 1))
    turned = layout.orientation > 4
    needed = room.needed(layout.width, layout.height)[::-1] if turned else room.needed(layout.height, layout.width)
    if size[1] < needed[0] or size[0] < needed[1]:
        if room.fits(height, width):
            return image
        room.check(layout.height, layout.width)
    return cast("NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _coloured(data: bytes, image: NDArray[np.uint8], layout: JpegLayout) -> NDArray[np.uint8]:
    if layout.components in (1, 3):
        return image
    # Four inks: known to be whole now, and OpenCV makes colours of them.
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if read is None:
        raise DataError("four inks that OpenCV cannot mix")
    return cast("NDArray[np.uint8]", read)


def _mended(data: bytes, layout: JpegLayout, warning: str) -> bytes:
    """Return the bytes without what was warned of where that is harmless. Raises DataError where it is not."""
    extraneous = _EXTRANEOUS.search(warning)
    mended = data
    if extraneous is not None:
        mended = _without_padding(data, int(extraneous[1]), int(extraneous[2], 16), layout.scans[0])
    elif "Invalid SOS parameters" in warning:
        mended = _with_sequential_scans(data, layout)
    elif "unknown JFIF revision" in warning and layout.jfif > 0:
        mended = data[: layout.jfif] + b"\1" + data[layout.jfif + 1 :]
    elif "Unknown Adobe color transform" in warning and layout.adobe > 0:  # what libjpeg takes it for
        mended = data[: layout.adobe] + (b"\2" if layout.components == 4 else b"\1") + data[layout.adobe + 1 :]
    if mended == data:
        raise DataError(_reason(warning))
    return mended


def _without_padding(data: bytes, count: int, marker: int, start: int) -> bytes:
    """Some cameras fill up to an even or aligned length before a marker."""
    if count > _PADDING:
        return data
    for filler in (b"\0", b"\xff"):
        before = filler * count + bytes([0xFF, marker])
        place = data.find(before, start)
        if place >= 0:
            return data[:place] + data[place + count :]
    return data


def _with_sequential_scans(data: bytes, layout: JpegLayout) -> bytes:
    mended = bytearray(data)
    for place in layout.scans:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        mended[end - 3 : end] = b"\0\x3f\0"
    return bytes(mended)


def _reason(warning: str) -> str:
    text = warning.strip().removeprefix("Corrupt JPEG data: ")
    if "remature end" in text:
        return f"the JPEG ends early: {text[0].lower()}{text[1:]}"
    if "subsampling level" in text:
        return "a JPEG whose colours are sampled in a way that cannot be checked; save it with 4:4:4, 4:2:2 or 4:2:0"
    return f"the JPEG is damaged: {text[0].lower()}{text[1:]}" if text else "the JPEG is damaged"
