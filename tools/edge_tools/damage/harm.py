"""What happens to a file: each kind takes its bytes, a severity from 0 to 1 and another picture's file.

None: this kind cannot happen to this format.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["KINDS", "Blow"]

_ENDS = {
    ".jpg": b"\xff\xd9",
    ".png": b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big"),
    ".gif": b"\0;",
    ".jp2": b"\xff\xd9",
}


@dataclass(frozen=True, eq=False)
class Blow:
    """`data` is the file; `other` makes one of a board without a defect, in the same format; 0 <= `severity` <= 1."""

    data: bytes
    other: Callable[[], bytes]
    suffix: str
    severity: float
    rng: np.random.Generator

    @property
    def head(self) -> int:
        """Where the pixels may begin: damage before it is damage to a header."""
        if self.suffix == ".jpg":
            return min(self.data.rfind(b"\xff\xda") + 14, len(self.data) // 3)
        return min(200, len(self.data) // 4)

    def place(self, share: float) -> int:
        """Return an offset, share 0 at the first pixels and 1 at the end."""
        return self.head + int(share * (len(self.data) - 1 - self.head))


def _cut(blow: Blow) -> bytes:
    return blow.data[: blow.place(1 - blow.severity)]


def _cut_ended(blow: Blow) -> bytes | None:
    cut = _cut(blow)
    if blow.suffix == ".webp":
        return cut[:4] + (len(cut) - 8).to_bytes(4, "little") + cut[8:]
    if blow.suffix == ".png":  # the last chunk whole, so that only pixels are missing
        chunks, place = [cut[:8]], 8
        while place + 12 <= len(cut):
            size = int.from_bytes(cut[place : place + 4], "big")
            body = cut[place + 4 : place + 8 + size]
            chunks.append(max(len(body) - 4, 0).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big"))
            place += 12 + size
        return b"".join([*chunks, _ENDS[".png"]])
    end = _ENDS.get(blow.suffix)
    return None if end is None else cut + end


def _padded(blow: Blow) -> bytes:
    """Cut, and zeros up to the size it should have: what a power cut leaves of a file."""
    cut = _cut(blow)
    return cut + bytes(len(blow.data) - len(cut))


def _zeroed(blow: Blow) -> bytes:
    size = max(16, int((0.01 + 0.6 * blow.severity) * (len(blow.data) - blow.head)))
    begin = blow.place(blow.rng.uniform(0, 0.95))
    return blow.data[:begin] + bytes(len(blow.data[begin : begin + size])) + blow.data[begin + size :]


def _flipped(blow: Blow) -> bytes:
    data = bytearray(blow.data)
    for _ in range(round(100**blow.severity)):
        data[blow.place(blow.rng.random())] ^= 1 << int(blow.rng.integers(8))
    return bytes(data)


def _garbage(blow: Blow) -> bytes:
    size = max(16, int((0.01 + 0.4 * blow.severity) * (len(blow.data) - blow.head)))
    begin = blow.place(blow.rng.uniform(0, 0.9))
    size = len(blow.data[begin : begin + size])
    return blow.data[:begin] + blow.rng.bytes(size) + blow.data[begin + size :]


def _hole(blow: Blow) -> bytes:
    """A piece of the middle is missing and the rest moved up: a lost block or packet."""
    size = max(16, int(0.3 * blow.severity * (len(blow.data) - blow.head)))
    begin = blow.place(blow.rng.uniform(0, 0.9))
    return blow.data[:begin] + blow.data[begin + size :]


def _overwritten(blow: Blow) -> bytes:
    """The tail of another picture: a snapshot that was written anew while it was read."""
    place = blow.place(1 - blow.severity)
    return blow.data[:place] + blow.other()[place:]


def _restarts(data: bytes) -> list[int]:
    """Where restart markers stand."""
    return [i for i in range(len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]


def _swapped(blow: Blow) -> bytes | None:
    places = _restarts(blow.data) if blow.suffix == ".jpg" else []
    if len(places) < 4:
        return None
    one, other = sorted(blow.rng.choice(len(places) - 1, 2, replace=False).tolist())
    at = [places[one], places[one + 1], places[other], places[other + 1]]
    first, second = blow.data[at[0] : at[1]], blow.data[at[2] : at[3]]
    if blow.severity < 0.5:  # rows with their markers, else the markers alone
        return blow.data[: at[0]] + second + blow.data[at[1] : at[2]] + first + blow.data[at[3] :]
    mended = bytearray(blow.data)
    mended[at[0] + 1], mended[at[2] + 1] = mended[at[2] + 1], mended[at[0] + 1]
    return bytes(mended) if mended != bytearray(blow.data) else None


def _lost(blow: Blow) -> bytes | None:
    """Rows between two restart markers are missing, or the marker alone."""
    places = _restarts(blow.data) if blow.suffix == ".jpg" else []
    if len(places) < 4:
        return None
    first = int(blow.rng.integers(len(places) - 2))
    last = min(first + 1 + int(blow.severity * 8), len(places) - 1)
    end = places[first] + 2 if blow.severity < 0.3 else places[last]
    return blow.data[: places[first]] + blow.data[end:]


KINDS: dict[str, Callable[[Blow], bytes | None]] = {
    "cut": _cut,
    "cut, with an end": _cut_ended,
    "cut, padded with zeros": _padded,
    "zeroed middle": _zeroed,
    "bits flipped": _flipped,
    "garbage inside": _garbage,
    "a piece missing": _hole,
    "tail of another": _overwritten,
    "restarts swapped": _swapped,
    "restarts missing": _lost,
}
