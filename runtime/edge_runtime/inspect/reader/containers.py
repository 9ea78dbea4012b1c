"""What a file's container says of lines: for codecs that say nothing themselves (raw video, FFV1, PNG, JPEG 2000)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["counts_fields", "woven_by_container"]

_HEAD = 1 << 16  # bytes: headers of AVI, Matroska and YUV4MPEG2 stand in them
_MOST = 64 << 20  # of a QuickTime file's index
_FIELDS_OF_MOV = re.compile(rb"\0\0\0\x0afiel([\1\2])")
_LAYOUT_OF_MXF = re.compile(rb"\x32\x0c\x00\x01([\x00-\x04])")  # the tag, and how long its value is
# EBML (RFC 8794, 9559): Segment, Tracks, TrackEntry, TrackType, Video, FlagInterlaced
_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO, _FLAG = (
    bytes.fromhex(name) for name in ("18538067", "1654ae6b", "ae", "83", "e0", "9a")
)


def counts_fields(path: str) -> bool:
    """Whether a file's container counts fields, whatever its pictures are: GXF (SMPTE 360M)."""
    try:
        with Path(path).open("rb") as file:
            return file.read(6) == b"\0\0\0\0\1\xbc"
    except OSError:
        return False


def woven_by_container(path: str) -> bool | None:
    """Whether a file's header says that its pictures are woven of two fields; None: it says nothing, or is no file."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
            if head.startswith(b"\x1aE\xdf\xa3"):
                return _matroska(head)
            if head.startswith(b"YUV4MPEG2 "):
                return _y4m(head)
            if head.startswith(b"RIFF"):
                return _avi(head)
            if head.startswith(b"\x06\x0e\x2b\x34"):
                return _mxf(head)
            return _quicktime(file) if head[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip") else None
    except OSError:
        return None


def _y4m(head: bytes) -> bool | None:
    words = head.partition(b"\n")[0].split()
    return any(word in (b"It", b"Ib", b"Im") for word in words)


def _avi(head: bytes) -> bool | None:
    """The video properties of OpenDML 1.02: nbFieldsPerFrame."""
    place = head.find(b"vprp")
    fields = int.from_bytes(head[place + 40 : place + 44], "little") if place > 0 else 0
    return {1: False, 2: True}.get(fields)


def _mxf(head: bytes) -> bool | None:
    """The frame layout of the picture's descriptor (SMPTE ST 377-1, G.2.1): full, two fields, one, mixed, segmented."""
    layouts = set(_LAYOUT_OF_MXF.findall(head))
    return None if not layouts else bool(layouts & {b"\1", b"\2", b"\3"})


def _quicktime(file: BinaryIO) -> bool | None:
    place = 0
    while True:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if len(head) < 16 or size < 8:
            return None
        if head[4:8] == b"moov":
            file.seek(place)
            found = _FIELDS_OF_MOV.search(file.read(min(size, _MOST)))
            return found[1] == b"\2" if found else None
        place += size


def _matroska(head: bytes) -> bool | None:
    for segment in _elements(head, _SEGMENT):
        for tracks in _elements(segment, _TRACKS):
            for track in _elements(tracks, _TRACK):
                if next(_elements(track, _TYPE), b"") == b"\1":
                    flags = [flag for video in _elements(track, _VIDEO) for flag in _elements(video, _FLAG)]
                    return {b"\1": True, b"\2": False}.get(flags[0]) if flags else None
    return None


def _elements(data: bytes, wanted: bytes) -> Iterator[bytes]:
    """Yield the contents of those of that name; one that is cut, or of unknown length, as far as it goes."""
    place = 0
    while place < len(data) and data[place]:
        name_bytes = 9 - data[place].bit_length()
        name = data[place : place + name_bytes]
        place += name_bytes
        if place >= len(data) or not data[place]:
            return
        length_bytes = 9 - data[place].bit_length()
        bits = 7 * length_bytes
        length = int.from_bytes(data[place : place + length_bytes], "big") & ((1 << bits) - 1)
        place += length_bytes
        if length == (1 << bits) - 1:
            length = len(data)
        if name == wanted:
            yield data[place : place + length]
        place += length
