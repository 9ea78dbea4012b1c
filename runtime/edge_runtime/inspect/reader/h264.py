"""What H.264 says of lines: whether a picture may be two fields, and whether one is (ISO/IEC 14496-10)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.inspect.reader.bits import Bits

__all__ = ["H264Fields"]

_SPS, _SEI = 7, 6
_PIC_TIMING = 1
_START = b"\0\0\1"
_SLICES = frozenset({1, 2, 5})  # nothing that is wanted stands behind the first of them
_WITH_CHROMA_FORMAT = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_CHROMA_444 = 3
_LONGEST = 1024  # bytes of a unit that are looked at
_ANY_ASPECT = 255
# Table D-1: the picture is a frame, or one that is shown longer; 1 to 4 are fields.
_FRAMES = frozenset({0, 5, 6, 7, 8})


@dataclass(frozen=True)
class _Sequence:
    """Of a sequence parameter set: `delays`: bits that begin its pictures' timing; `told`: it tells what each is."""

    frames_only: bool
    delays: int = 0
    told: bool = False


class H264Fields:
    """Follows one stream's parameter sets."""

    def __init__(self) -> None:
        self._sequence: _Sequence | None = None

    def put(self, data: bytes) -> bool | None:
        """Whether the picture in a packet is woven of two fields; None: nothing tells. Also takes extradata."""
        woven = None
        units = _avcc(data) if data[:1] == b"\1" else _annex_b(data)
        for unit in units:
            kind = unit[0] & 31
            if kind == _SPS:
                self._sequence = _sequence(Bits.of_unit(unit[4:]), unit[1])
            elif kind == _SEI and self._sequence is not None and self._sequence.told and woven is None:
                woven = _timed(unit, self._sequence)
        if self._sequence is None:
            return None
        # Where fields are allowed and nothing is said of this picture, it may be two.
        return not self._sequence.frames_only and woven is not False


def _annex_b(data: bytes) -> list[bytes]:
    """The units before the first slice."""
    units, place = [], data.find(_START)
    while 0 <= place < len(data) - 4 and data[place + 3] & 31 not in _SLICES:
        units.append(data[place + 3 : place + _LONGEST])
        place = data.find(_START, place + 3)
    return units


def _avcc(data: bytes) -> list[bytes]:
    """Its sequence parameter sets (ISO/IEC 14496-15, 5.2.4.1)."""
    place, units = 6, []
    for _ in range(data[5] & 31 if len(data) > 5 else 0):
        length = int.from_bytes(data[place : place + 2], "big")
        units.append(data[place + 2 : place + 2 + length])
        place += 2 + length
    return [unit for unit in units if len(unit) > 4]


def _sequence(bits: Bits, profile: int) -> _Sequence:
    """7.3.2.1.1, behind the level."""
    bits.ue()
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.ue()
        if chroma == _CHROMA_444:
            bits.u(1)
        bits.ues(2)
        bits.u(1)
        if bits.u(1):
            _scaling_lists(bits, 12 if chroma == _CHROMA_444 else 8)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.ues(2)
        bits.ues(min(bits.ue(), 255))
    bits.ue()
    bits.u(1)
    bits.ues(2)
    if bits.u(1):
        return _Sequence(True)
    bits.u(2)
    if bits.u(1):
        bits.ues(4)
    return _usability(bits) if bits.u(1) else _Sequence(False)


def _scaling_lists(bits: Bits, count: int) -> None:
    """7.3.2.1.1.1, passed over."""
    for number in range(count):
        last = following = 8 if bits.u(1) else 0
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
                last = following or last


def _usability(bits: Bits) -> _Sequence:
    """E.1.1: all of it stands before the one bit that is wanted."""
    if bits.u(1) and bits.u(8) == _ANY_ASPECT:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            bits.u(24)
    if bits.u(1):
        bits.ues(2)
    if bits.u(1):
        bits.u(65)
    delays = 0
    present = False
    for _ in range(2):
        if bits.u(1):
            present = True
            delays = _buffering(bits)
    if present:
        bits.u(1)
    return _Sequence(False, delays, bool(bits.u(1)))


def _buffering(bits: Bits) -> int:
    """E.1.2; returns how long the two delays are."""
    count = bits.ue() + 1
    bits.u(8)
    for _ in range(min(count, 32)):
        bits.ues(2)
        bits.u(1)
    bits.u(5)
    delays = bits.u(5) + 1 + bits.u(5) + 1
    bits.u(5)
    return delays


def _timed(unit: bytes, sequence: _Sequence) -> bool | None:
    """Whether a picture's timing (D.1.3) says that it is fields; None: there is none in this unit."""
    data = unit[1:].replace(b"\0\0\3", b"\0\0")
    while len(data) > 2:
        kind = size = 0
        for name in ("kind", "size"):
            value = 0
            while data[:1] == b"\xff":
                value, data = value + 255, data[1:]
            value, data = value + (data[0] if data else 0), data[1:]
            kind, size = (value, size) if name == "kind" else (kind, value)
        if kind == _PIC_TIMING:
            bits = Bits(data[:size])
            bits.u(sequence.delays)
            structure = bits.u(4)
            if structure not in _FRAMES and bits.u(1):  # its first clock tells how it was scanned: 0: progressive
                return bits.u(2) != 0
            return structure not in _FRAMES
        data = data[size:]
    return None
