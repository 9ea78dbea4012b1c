"""Runs of zeros (or ones) in compressed pictures: what is left where a part of a file was never written, or wiped.

Decoders take them for data, mostly without a word. Which runs a codec writes itself was measured, on test pictures,
flat and black ones too, of FFmpeg's encoders.
"""

from __future__ import annotations

import bisect
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["ZERO_RUN", "Neighbours", "with_neighbours", "zero_run", "zeros_told"]

ZERO_RUN = "a run of zeros or ones lies in its data"

# In these a run of zeros is padding before a start code or it is damage: inside of a picture it cannot be
# (ISO/IEC 14496-10 and 23008-2, 7.4.1: emulation prevention; 13818-2, 6.2.1 and 14496-2, 6.2.1: start codes).
_START_CODES = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
_SHORT = bytes(32)
# And these compress: so many zeros would be a picture's part that needed fewer.
_COMPRESSING = frozenset({"av1", "libdav1d", "vp9"})
# In these a macroblock of a flat picture may be three zeros: measured, for whole pictures.
_ZEROS_FOR_FLAT = frozenset({"theora", "wmv2"})
_PIXELS_A_ZERO = 512  # pixels for each zero byte; three bits for 256 are 683
_LONG = bytes(256)
_LONGER = bytes(1024)  # in VP8's first part, of modes and motion, its encoder does write a few hundred
# The most zeros that one of these may write: what does not change or is flat is ones, a length, or a code that is not
# zero; the longest codes of a table are (HuffYUV). Nor do they pad with them (MPEG-4 pads to a byte, with ones: ISO/IEC
# 14496-2, 5.2.4). Measured: cfhd 56, rpza 112, zmbv 67 of a picture that shows something, snow 28, jpeg2000 20, the
# others 17 at most.
_MOST_ZEROS: Mapping[str, int] = {
    **dict.fromkeys(("asv1", "asv2", "dirac", "ffvhuff", "gif", "huffyuv", "jpegls", "msvideo1", "qtrle"), 64),
    **dict.fromkeys(("smc", "speedhq", "utvideo"), 64),
    **dict.fromkeys(("cfhd", "ffv1", "flv", "flv1", "h261", "h263", "jpeg2000", "mpeg4", "msmpeg4", "msmpeg4v2"), 128),
    **dict.fromkeys(("snow", "svq1", "vc1", "wmv1", "wmv3", "zmbv"), 128),
    "rpza": 256,
}
_NAL_CODECS = frozenset({"h264", "hevc"})
_ONES = b"\xff" * 400  # a white macroblock without any compression has 384
_DV_BLOCK = 80  # SMPTE 314M: each begins with three bytes that say what it is, of which one is never 0
_HEADS = (b"\0\0\1", b"\0\0\0\1")
_PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_JPEG = b"\xff\xd9"
# Pixels as they are: zeros are black, and stay where they are. (TIFF, Targa and EXR may be so.)
_PLAIN = frozenset(
    {
        *("bmp", "cljr", "dpx", "exr", "r10k", "r210", "rawvideo", "targa", "tiff", "v210", "v210x", "v308", "v408"),
        *("v410", "ayuv", "y41p", "yuv4"),
    }
)
_LEAST_PLAIN = 256
# Each picture by itself, with a table of its own, whose shortest code may be zeros: flat parts are runs of them.
_JPEG = frozenset({"amv", "mjpeg"})
_FLAT = _JPEG | {"hap", "magicyuv"}
_LEAST_FLAT = 64
_MOST_RUNS = 4096  # of a picture that are looked at


def zeros_told(codec: str) -> bool:
    """Whether something is known of the zeros of a codec (FFmpeg's name), or it checks its own data."""
    known = codec in _START_CODES | _COMPRESSING | _ZEROS_FOR_FLAT or codec in _MOST_ZEROS or codec in _OTHERS
    return known or with_neighbours(codec)


def with_neighbours(codec: str) -> bool:
    """Whether a picture's zeros are judged by those of the pictures beside it."""
    return codec in _PLAIN or codec in _FLAT


def zero_run(codec: str, packet: bytes, pixels: int = 0) -> bool:
    """Whether zeros, or ones, lie in a compressed picture where no codec writes them: decoders take them for data.

    `pixels`: of the picture.
    """
    if (other := _OTHERS.get(codec)) is not None:
        return other(packet)
    if codec in _ZEROS_FOR_FLAT:
        return bytes(len(_LONG) + pixels // _PIXELS_A_ZERO) in packet
    if codec in _MOST_ZEROS and bytes(_MOST_ZEROS[codec]) in packet:
        return True
    if codec in _COMPRESSING:
        return _LONG in packet or _ONES in packet
    if codec in _NAL_CODECS and (place := packet.find(_ONES)) > 1:
        # Filler data are a unit of ones (types 12 and 38), as their payload in a message may be (types 6 and 39).
        kinds = {packet[place - 1] & 31, packet[place - 2] >> 1 & 63}
        if not kinds & {12, 38} and b"\0\0\1" not in packet[place - 8 : place]:
            return True
    place = packet.find(_SHORT) if codec in _START_CODES else -1
    if place == 0 and not any(packet):
        return True
    if place >= 0 and codec in _NAL_CODECS and not packet.startswith(_HEADS):
        return True  # units that have lengths are not padded
    while place >= 0:
        rest = packet[place:].lstrip(b"\0")
        if rest and not rest.startswith(b"\1"):
            return True
        place = packet.find(_SHORT, len(packet) - len(rest)) if rest else -1
    return False


def _vp8(packet: bytes) -> bool:
    """RFC 6386, 9.1: how long the first part is."""
    begin = 3 + (int.from_bytes(packet[:3], "little") >> 5)
    return packet.find(_LONG, begin) >= 0 or _LONGER in packet or _ONES in packet


def _prores(packet: bytes) -> bool:
    """What stands behind its own length is padding."""
    return _LONG in packet[: int.from_bytes(packet[:4], "big")] or _LONG in packet[:512]


def _dv(packet: bytes) -> bool:
    return any(not any(packet[at : at + 3]) for at in range(0, len(packet), _DV_BLOCK))


def _png(packet: bytes) -> bool:
    """Whether the check sum of one of its chunks is wrong (PNG, 5.3), or the chain of them."""
    place = len(_PNG) if packet.startswith(_PNG) else 0
    while place < len(packet):
        end = place + 8 + int.from_bytes(packet[place : place + 4], "big")
        if zlib.crc32(packet[place + 4 : end]) != int.from_bytes(packet[end : end + 4], "big") or end + 4 > len(packet):
            return True
        place = end + 4
    return False


def _flashsv(packet: bytes) -> bool:
    """Blocks, each behind its length, which is 0 where nothing changed (SWF File Format 19, "Screen Video")."""
    place = 4
    while place + 2 <= len(packet):
        end = place + 2 + int.from_bytes(packet[place : place + 2], "big")
        if packet.find(bytes(64), place + 2, end) >= 0:
            return True
        place = end
    return place != len(packet)


def _silent(packet: bytes) -> bool:
    return False


# DNxHD pads to a size that is always the same, and its decoder checks where its rows are; zlib has a check sum.
_OTHERS: Mapping[str, Callable[[bytes], bool]] = {
    "apng": _png,
    "dnxhd": _silent,
    "dvvideo": _dv,
    "flashsv": _flashsv,
    "png": _png,
    "prores": _prores,
    "vp8": _vp8,
    "zlib": _silent,
}


@dataclass(frozen=True)
class _Runs:
    """The runs of zeros of a picture, in order; `empty`: it is nothing else."""

    begins: list[int]
    lengths: list[int]
    size: int
    empty: bool

    def some(self, without_first: bool, without_last: bool) -> Iterator[tuple[int, int]]:
        """Where they begin and how long they are; `without_...`: one that touches that end of the data is left out."""
        for begin, length in zip(self.begins, self.lengths, strict=True):
            if not (without_first and begin == 0) and not (without_last and begin + length == self.size):
                yield begin, length

    def there(self, begin: int, length: int) -> bool:
        """Whether at least half of a place is zeros."""
        end = begin + length
        number = max(bisect.bisect_right(self.begins, begin) - 1, 0)
        count = 0
        while number < len(self.begins) and self.begins[number] < end:
            last = self.begins[number] + self.lengths[number]
            count += max(0, min(end, last) - max(begin, self.begins[number]))
            number += 1
        return 2 * count >= length


class Neighbours:
    """Follows the pictures of a codec that `with_neighbours`.

    What is black or flat in a scene is so for more than one picture: zeros where the pictures before and after have
    none, nor a run half as long elsewhere, from where it has moved, were never written.
    """

    def __init__(self, codec: str) -> None:
        self._plain, self._jpeg = codec in _PLAIN, codec in _JPEG
        self._least = _LEAST_PLAIN if self._plain else _LEAST_FLAT
        self._before: _Runs | None = None
        self._now: _Runs | None = None

    def put(self, packet: bytes | None) -> bool:
        """Take the next picture (None: there is none); whether the one before it is damaged."""
        after = None if packet is None else self._runs(packet)
        now, before = self._now, self._before
        damaged = now is not None and (now.empty or self._alone(now, before, after))
        self._before, self._now = (None if damaged else now), after
        return damaged

    def _runs(self, packet: bytes) -> _Runs:
        size = len(packet)
        if self._jpeg and (end := packet.rfind(_END_OF_JPEG)) > 0:
            size = end  # some cameras pad behind it
        begins, lengths = [], []
        for begin, length in _zeros(packet, size, self._least // 2):
            begins.append(begin)
            lengths.append(length)
        return _Runs(begins, lengths, size, lengths == [size])

    def _alone(self, now: _Runs, before: _Runs | None, after: _Runs | None) -> bool:
        """A run that goes on over the end of a picture is one: of the next one's it is no proof."""
        before, after = (None if runs is None or runs.empty else runs for runs in (before, after))
        if not now.begins or (before is None and after is None):
            return False
        for begin, length in now.some(False, False):
            if length < self._least:  # of no weight, but where half as long a run is wanted
                continue
            first, last = begin == 0, begin + length == now.size
            if self._plain and any(one.there(begin, length) for one in (before, after) if one is not None):
                continue
            others = [] if before is None else list(before.some(False, first))
            others += [] if after is None else list(after.some(last, False))
            # What has moved is as long elsewhere, where now there is none.
            if not any(2 * run[1] >= length and not (self._plain and now.there(*run)) for run in others):
                return True
        return False


_OTHER = re.compile(rb"[^\0]")


def _zeros(packet: bytes, size: int, least: int) -> Iterator[tuple[int, int]]:
    """Where runs of at least so many begin, and how long they are."""
    wanted = bytes(least)
    place = packet.find(wanted, 0, size)
    for _ in range(_MOST_RUNS):
        if place < 0:
            return
        other = _OTHER.search(packet, place + least)
        end = min(size, other.start() if other else size)
        yield place, end - place
        place = packet.find(wanted, end, size)
