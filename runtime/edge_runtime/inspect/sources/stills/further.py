"""Pictures after the first in a JPEG file: those of a stereo camera, and files that were strung together.

Source: CIPA DC-007, Multi-Picture Format. Previews, thumbnails and gain maps, which phones and cameras add, show
nothing that the first picture does not.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.directory import Directory
from edge_runtime.inspect.sources.stills.jpeg import JpegLayout, jpeg_layout

__all__ = ["further_pictures"]

_BEGIN = b"\xff\xd8\xff"
_ENTRIES, _ENTRY, _MOST = 0xB002, 16, 256
_THUMBNAIL = 1  # of a picture's type, the upper byte
_GAIN = (b"hdrgm:", b"ts:21496", b"hdrgainmap")
_HEAD = 1 << 16  # bytes in which a picture says that it is a gain map


def further_pictures(data: bytes, first: JpegLayout) -> Iterator[bytes]:
    """Yield each further picture's bytes; whether they are whole is seen when they are decoded."""
    if first.index > 0:
        for start, size in _listed(data, first.index):
            piece = data[start : start + size]
            if piece.startswith(_BEGIN) and not any(word in piece[:_HEAD] for word in _GAIN):
                yield piece
        return
    place = first.end
    while place and (rest := data[place:].lstrip(b"\0")).startswith(_BEGIN):
        try:
            layout = jpeg_layout(rest)
        except DataError:  # the preview of a camera was cut off
            return
        if (layout.height, layout.width) == (first.height, first.width):  # previews are smaller
            yield rest[: layout.end or len(rest)]
        place = len(data) - len(rest) + layout.end if layout.end else 0


def _listed(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each picture lies that the table which begins at `start` lists, and how long it is."""
    directory = Directory(data, start)
    number = directory.number
    for tag, place in directory.entries(64):
        if tag != _ENTRIES:
            continue
        table, count = start + number(place + 8), min(number(place + 4) // _ENTRY, _MOST)
        for entry in range(table + _ENTRY, table + count * _ENTRY, _ENTRY):  # the first is the file's own
            if number(entry) >> 16 & 0xFF != _THUMBNAIL:
                yield start + number(entry + 8), number(entry + 4)
