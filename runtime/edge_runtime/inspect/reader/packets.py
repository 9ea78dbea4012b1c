"""A file's packets, read beside its pictures: what OpenCV does not tell of a picture is found in its data.

A second capture of OpenCV gives them as they are (CAP_PROP_FORMAT -1, from 4.8 on). What they give comes of their
order alone, as 4.8 and 4.9 tell no times of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2

from edge_runtime.inspect.reader.chain import MISSING, Chain
from edge_runtime.inspect.reader.containers import woven_by_container
from edge_runtime.inspect.reader.fields import Fields
from edge_runtime.inspect.reader.sizes import another_size
from edge_runtime.inspect.reader.zeros import ZERO_RUN, Neighbours, with_neighbours, zero_run

__all__ = ["AHEAD", "Packets", "Told", "codec_of", "woven_stream"]

# Pictures: none is shown later than so many packets after its own (ISO/IEC 14496-10, A.3.1: 16 at most).
AHEAD = 16
_VP8_SHOWN = 1 << 4  # RFC 6386, 9.1: show_frame
_DIRAC_END = b"BBCD\x10"

# What OpenCV makes of a codec, whatever the container calls it: FFmpeg's name of it.
_CODECS: Mapping[bytes, str] = {
    b"AMVF": "amv",
    b"AV01": "av1",
    b"AVdn": "dnxhd",
    b"FFVH": "ffvhuff",
    b"FMP4": "mpeg4",
    b"FSV1": "flashsv",
    b"HFYU": "huffyuv",
    b"Hap1": "hap",
    b"MAGY": "magicyuv",
    b"MJLS": "jpegls",
    b"MJPG": "mjpeg",
    b"MP42": "msmpeg4v2",
    b"MP43": "msmpeg4",
    b"MPNG": "png",
    b"MSVC": "msvideo1",
    b"SHQ0": "speedhq",
    b"ULRA": "utvideo",
    b"VP80": "vp8",
    b"VP90": "vp9",
    b"WVC1": "vc1",
    b"apch": "prores",
    b"apng": "apng",
    b"asv1": "asv1",
    b"asv2": "asv2",
    b"cfhd": "cfhd",
    b"cljr": "cljr",
    b"dpx ": "dpx",
    b"drac": "dirac",
    b"dvsd": "dvvideo",
    b"exr ": "exr",
    b"ffv1": "ffv1",
    b"flv1": "flv1",
    b"gif ": "gif",
    b"h261": "h261",
    b"h263": "h263",
    b"h264": "h264",
    b"hevc": "hevc",
    b"mjp2": "jpeg2000",
    b"mpg1": "mpeg1video",
    b"mpg2": "mpeg2video",
    b"r10k": "r10k",
    b"r210": "r210",
    b"rle ": "qtrle",
    b"rpza": "rpza",
    b"smc ": "smc",
    b"snow": "snow",
    b"svq1": "svq1",
    b"tga ": "targa",
    b"theo": "theora",
    b"tiff": "tiff",
    b"v210": "v210",
    b"wmv1": "wmv1",
    b"wmv2": "wmv2",
    b"wmv3": "wmv3",
    b"y41p": "y41p",
    b"yuv4": "yuv4",
    b"zlib": "zlib",
    b"zmbv": "zmbv",
}


def codec_of(capture: Any) -> str:
    """FFmpeg's name of a capture's codec; "": one that nothing is known of here."""
    return _CODECS.get((int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF).to_bytes(4, "little"), "")


def _extradata(capture: Any) -> bytes:
    """The headers that the container, or a stream's description, holds for the decoder."""
    index = capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX)
    if index <= 0:
        return b""
    good, found = capture.retrieve(flag=int(index))
    return bytes(found.data) if good and found is not None else b""


def woven_stream(capture: Any) -> bool:
    """Whether a stream's headers say that its pictures may be woven of two fields."""
    fields = Fields(codec_of(capture), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return fields.put(_extradata(capture), header=True) is True


def _stored(pixels: int, packet: bytes | None) -> bool:
    """Whether a packet of a codec without a name in RIFF holds pixels as they are, of a byte at least or of one bit."""
    size, bits = len(packet or b""), pixels // 8
    return size >= pixels > 0 or bits <= size <= bits + bits // 64 + 1024


def _lossless(packet: bytes) -> bool:
    """Whether a JPEG is (its frame begins with SOF3: ISO/IEC 10918-1, B.1.1.3)."""
    place = 2
    while packet[place : place + 1] == b"\xff" and packet[place + 1 : place + 2] not in (
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xda",
    ):
        if packet[place + 1 : place + 2] == b"\xc3":
            return True
        place += 2 + int.from_bytes(packet[place + 2 : place + 4], "big")
    return False


def _vp8_size(packet: bytes) -> tuple[int, int] | None:
    """A key picture's width and height (RFC 6386, 9.1)."""
    if len(packet) < 10 or packet[0] & 1 or packet[3:6] != b"\x9d\1\x2a":
        return None
    return int.from_bytes(packet[6:8], "little") & 0x3FFF, int.from_bytes(packet[8:10], "little") & 0x3FFF


def _shown(codec: str, packet: bytes) -> bool:
    """Whether a packet gives a picture."""
    return bool(packet[0] & _VP8_SHOWN) if codec == "vp8" else not packet.startswith(_DIRAC_END)


@dataclass(frozen=True)
class Told:
    """What the packets tell of a picture. `damaged`: the last number of a picture that is, and why.

    `follows`: it needs those before it, whatever its type says (FFV1 goes on with what it learnt of them).
    `resized`: what is said of it where it has another size than the first one.
    """

    woven: bool
    damaged: tuple[int, str] | None
    follows: bool
    resized: str | None = None


class Packets:
    """Follows a file's packets, AHEAD of its pictures; those that show none are not counted."""

    def __init__(self, capture: Any, path: str) -> None:
        self._capture: Any = capture
        self._codec = codec_of(capture)
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self._pixels = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) * height
        self._next: bytes | None = None
        if not self._codec and _stored(self._pixels, self._packet(ahead=True)):
            self._codec = "rawvideo"
        elif self._codec == "mjpeg" and _lossless(self._packet(ahead=True) or b""):
            self._codec = "ljpeg"
        self._fields = Fields(self._codec, height)
        self._fields.put(_extradata(capture), header=True)
        self._by_container = woven_by_container(path) is True
        self._neighbours = Neighbours(self._codec) if with_neighbours(self._codec) else None
        self._chain, self._broken = Chain(path), False
        self._number = 0
        self._damaged: deque[tuple[int, str]] = deque()
        self._woven_until = -1
        self._keys: set[int] = set()
        self._first_size: tuple[int, int] | None = None
        self._resized: tuple[int, str] | None = None

    @property
    def codec(self) -> str:
        """FFmpeg's name; "" for one that nothing is known of here."""
        return self._codec

    @classmethod
    def open(cls, path: str) -> Packets | None:
        """Open a file; None: FFmpeg does not read it."""
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        return cls(capture, path) if capture.isOpened() else None

    def tell(self, number: int, apart: int) -> Told:
        """Read on, and tell of the picture `number` (0: the first) that came of a packet at most so many `apart`."""
        beside = 1 if self._neighbours is not None else 0  # what is beside a picture tells of it
        while self._capture is not None and self._number <= number + apart + beside:
            self._read(apart)
        damaged = None
        while self._damaged and self._damaged[0][0] <= number + apart:
            damaged = self._damaged.popleft()
        resized = self._resized[1] if self._resized is not None and self._resized[0] <= number else None
        return Told(number <= self._woven_until, damaged, self._codec == "ffv1" and number not in self._keys, resized)

    def _read(self, apart: int) -> None:
        packet = self._packet()
        if packet is None:
            if self._neighbours is not None and self._neighbours.put(None):
                self._damaged.append((self._number - 1, ZERO_RUN))
            if self._chain.rest() or self._broken:
                self._damaged.append((self._number, MISSING))
            self.close()
            return
        if not packet:
            return
        self._broken = self._chain.broken() or self._broken
        if not _shown(self._codec, packet):
            return
        woven = self._fields.put(packet)
        if woven or (woven is None and self._by_container):
            self._woven_until = self._number + apart
        if self._neighbours is not None and self._neighbours.put(packet):
            self._damaged.append((self._number - 1, ZERO_RUN))
        if self._broken:
            self._damaged.append((self._number, MISSING))
            self._broken = False
        if zero_run(self._codec, packet, self._pixels):
            self._damaged.append((self._number, ZERO_RUN))
        if self._codec == "ffv1" and self._capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
            self._keys.add(self._number)
        if self._codec == "vp8" and (size := _vp8_size(packet)) is not None:
            self._sized(size)
        self._number += 1

    def _sized(self, size: tuple[int, int]) -> None:
        self._first_size = self._first_size or size
        if size != self._first_size and self._resized is None:
            (width, height), (wide, high) = self._first_size, size
            self._resized = self._number, another_size(f"{width}x{height}", f"{wide}x{high}")

    def _packet(self, ahead: bool = False) -> bytes | None:
        """The next one; None: there is none. `ahead`: it is given again."""
        packet, self._next = self._next, None
        if packet is None and self._capture.grab():
            good, found = self._capture.retrieve()
            packet = bytes(found.data) if good and found is not None else b""
        self._next = packet if ahead else None
        return packet

    def left(self, number: int) -> int:
        """How many pictures there should be beyond `number` of them: those whose packets gave none."""
        while self._capture is not None:
            self._read(0)
        return max(0, self._number - number)

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
            self._chain.close()
