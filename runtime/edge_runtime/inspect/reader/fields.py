"""Whether pictures are woven of two fields, which were taken at two times, by what compressed data say of themselves.

OpenCV tells nothing of it: up to 4.13 it gives the woven picture, and later ones give it of all but 4:2:0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_runtime.inspect.reader.bits import Bits
from edge_runtime.inspect.reader.h264 import H264Fields

__all__ = ["Fields", "told_by_container"]

_START = b"\0\0\1"


class Fields:
    """Follows one stream of a codec (FFmpeg's name of it); `height`: of the pictures, in lines."""

    def __init__(self, codec: str, height: int) -> None:
        self._height = height
        self._rule: Callable[[_Packet], bool | None] = _RULES.get(codec, _silent)
        self._last: bool | None = None
        if codec == "h264":
            h264 = H264Fields()
            self._rule = lambda packet: h264.put(packet.data)

    def put(self, data: bytes, header: bool = False) -> bool | None:
        """Whether the picture of a packet is woven; None: nothing was said. `header`: these are extradata instead."""
        found = self._rule(_Packet(data, self._height, header)) if data else None
        self._last = self._last if found is None else found
        return self._last


def told_by_container(codec: str) -> bool:
    """Whether a codec's data may say nothing of fields, so that a container's word counts."""
    return codec != "h264" and (codec not in _RULES or codec in ("mjpeg", "utvideo"))


@dataclass(frozen=True)
class _Packet:
    data: bytes
    height: int
    header: bool


def _silent(packet: _Packet) -> bool | None:
    return None


def _progressive(packet: _Packet) -> bool | None:
    return False


def _behind(data: bytes, code: bytes, bits: int = 0, mask: int = 0xFF) -> bytes:
    """What stands behind a start code of that last byte (those of its bits that are in `mask`) and first byte."""
    place = data.find(_START)
    while place >= 0:
        begin = data[place + 3 : place + 5]
        if len(begin) == 2 and begin[0] & mask == code[0] and (not bits or begin[1] >> 4 == bits):
            return data[place + 4 : place + 64]
        place = data.find(_START, place + 3)
    return b""


def _mpeg2(packet: _Packet) -> bool | None:
    """ISO/IEC 13818-2, 6.2.2.3 and 6.2.3.1."""
    picture = _behind(packet.data, b"\xb5", 8)
    if len(picture) > 4:
        return picture[2] & 3 != 3 or not picture[4] & 0x80  # one field, or not progressive
    sequence = _behind(packet.data, b"\xb5", 1)
    return not sequence[1] & 8 if len(sequence) > 1 else None


def _mpeg4(packet: _Packet) -> bool | None:
    """ISO/IEC 14496-2, 6.2.3."""
    layer = _behind(packet.data, b"\x20", mask=0xF0)
    if not layer:
        return None
    bits = Bits(layer)
    bits.u(9)
    version = 1
    if bits.u(1):
        version = bits.u(4)
        bits.u(3)
    if bits.u(4) == 15:  # the aspect of a pixel, in numbers
        bits.u(16)
    if bits.u(1):
        bits.u(3)
        if bits.u(1):
            bits.u(79)
    shape = bits.u(2)
    if shape == 3 and version != 1:
        bits.u(4)
    bits.u(1)
    resolution = bits.u(16)
    bits.u(1)
    if bits.u(1):
        bits.u(max(1, (resolution - 1).bit_length()))
    if shape == 0:
        bits.u(29)
    return bool(bits.u(1))


def _hevc(packet: _Packet) -> bool | None:
    """The source's scan in profile_tier_level (ISO/IEC 23008-2, 7.3.3), or in hvcC (14496-15, 8.3.3.1)."""
    if packet.header and packet.data[:1] == b"\1":
        return bool(packet.data[6] & 0x40) if len(packet.data) > 6 else None
    sequence = _behind(packet.data, b"\x42", mask=0x7E).replace(b"\0\0\3", b"\0\0")
    return bool(sequence[7] & 0x40) if len(sequence) > 7 else None


def _vc1(packet: _Packet) -> bool | None:
    """SMPTE 421M, 6.1: of the advanced profile alone."""
    sequence = _behind(packet.data, b"\x0f")
    return bool(sequence[5] & 0x40) if len(sequence) > 5 and sequence[0] >> 6 == 3 else None


def _dv(packet: _Packet) -> bool | None:
    """SMPTE 314M: fields, unless its source control says otherwise; 720 lines have none (370M)."""
    if packet.header or packet.height == 720:
        return None if packet.header else False
    control = packet.data[80 * 5 + 48 + 5 :][:4]
    return control[:1] != b"\x61" or bool(control[3] & 0x10) or packet.height == 1080


def _prores(packet: _Packet) -> bool | None:
    """SMPTE RDD 36, 5.1.1: interlace_mode."""
    return packet.data[20] & 0x0C != 0 if packet.data[4:8] == b"icpf" and len(packet.data) > 20 else None


def _dnxhd(packet: _Packet) -> bool | None:
    """SMPTE ST 2019-1, the frame's header."""
    return bool(packet.data[5] & 2) if not packet.header and len(packet.data) > 5 else None


def _mjpeg(packet: _Packet) -> bool | None:
    """A JPEG for each field: AVI1 tells which one it is, and each has half of the lines."""
    data, place = packet.data, 2
    while data[place : place + 1] == b"\xff" and not packet.header:
        code, length = data[place + 1 : place + 2], int.from_bytes(data[place + 2 : place + 4], "big")
        if code == b"\xe0" and data[place + 4 : place + 8] == b"AVI1" and data[place + 8 : place + 9] in (b"\1", b"\2"):
            return True
        if code in (b"\xc0", b"\xc1", b"\xc2"):
            lines = int.from_bytes(data[place + 5 : place + 7], "big")
            return True if 2 * lines - 16 < packet.height <= 2 * lines else None
        place += 2 + length
    return None


def _utvideo(packet: _Packet) -> bool | None:
    return bool(packet.data[13] & 8) if packet.header and len(packet.data) >= 16 else None


# What is not named tells nothing; those that are progressive have no other pictures.
_RULES: Mapping[str, Callable[[_Packet], bool | None]] = {
    **dict.fromkeys(("av1", "flv1", "gif", "h261", "mpeg1video", "theora", "vp8", "vp9", "wmv1", "wmv2"), _progressive),
    "mpeg2video": _mpeg2,
    "mpeg4": _mpeg4,
    "hevc": _hevc,
    "vc1": _vc1,
    "dvvideo": _dv,
    "prores": _prores,
    "dnxhd": _dnxhd,
    "mjpeg": _mjpeg,
    "utvideo": _utvideo,
}
