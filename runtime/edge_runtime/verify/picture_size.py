"""The size that a JPEG or PNG claims, read from its header before anything is decoded.

A PNG of 20 kB can decode to gigabytes; what a bundle's golden pictures measure is known from its manifest.
"""

from __future__ import annotations

__all__ = ["picture_size"]

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_JPEG = b"\xff\xd8"
# Markers of a frame's header: all SOFn, without DHT, JPG and DAC between them.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels; None for what is neither, or whose header is damaged."""
    if data.startswith(_PNG) and len(data) >= len(_PNG) + 8:
        start = len(_PNG)
        return _number(data[start : start + 4]), _number(data[start + 4 : start + 8])
    return _jpeg(data) if data.startswith(_JPEG) else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    place = len(_JPEG)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], _number(data[place + 2 : place + 4])
        if marker in _FRAMES:
            height, width = data[place + 5 : place + 7], data[place + 7 : place + 9]
            return (_number(width), _number(height)) if len(width) == 2 else None
        place += 2 + max(length, 2)
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
