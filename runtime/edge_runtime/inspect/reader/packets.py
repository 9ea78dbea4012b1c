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

from edge_runtime.inspect.reader.containers import woven_by_container
from edge_runtime.inspect.reader.fields import Fields
from edge_runtime.inspect.reader.wholeness import zero_run

__all__ = ["AHEAD", "Packets", "Told", "codec_of", "woven_stream"]

# Pictures: none is shown later than so many packets after its own (ISO/IEC 14496-10, A.3.1: 16 at most).
AHEAD = 16
_VP8_SHOWN = 1 << 4  # RFC 6386, 9.1: show_frame
_DIRAC_END = b"BBCD\x10"

# What OpenCV makes of a codec, whatever the container calls it: FFmpeg's name of it.
_CODECS: Mapping[bytes, str] = {
    b"AV01": "av1",
    b"AVdn": "dnxhd",
    b"FMP4": "mpeg4",
    b"MJPG": "mjpeg",
    b"MP42": "msmpeg4v2",
    b"MP43": "msmpeg4",
    b"ULRA": "utvideo",
    b"VP80": "vp8",
    b"VP90": "vp9",
    b"WVC1": "vc1",
    b"apch": "prores",
    b"cfhd": "cfhd",
    b"dvsd": "dvvideo",
    b"ffv1": "ffv1",
    b"flv1": "flv1",
    b"h261": "h261",
    b"h263": "h263",
    b"h264": "h264",
    b"hevc": "hevc",
    b"mjp2": "jpeg2000",
    b"mpg1": "mpeg1video",
    b"mpg2": "mpeg2video",
    b"snow": "snow",
    b"svq1": "svq1",
    b"theo": "theora",
    b"wmv1": "wmv1",
    b"wmv2": "wmv2",
    b"wmv3": "wmv3",
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


def _shown(codec: str, packet: bytes) -> bool:
    """Whether a packet gives a picture."""
    return bool(packet[0] & _VP8_SHOWN) if codec == "vp8" else not packet.startswith(_DIRAC_END)


@dataclass(frozen=True)
class Told:
    """What the packets tell of a picture. `zeros`: the last number of a picture that has them in its data.

    `follows`: it needs those before it, whatever its type says (FFV1 goes on with what it learnt of them).
    """

    woven: bool
    zeros: int | None
    follows: bool


class Packets:
    """Follows a file's packets, AHEAD of its pictures; those that show none are not counted."""

    def __init__(self, capture: Any, path: str) -> None:
        self._capture: Any = capture
        self._codec = codec_of(capture)
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self._pixels = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) * height
        self._fields = Fields(self._codec, height)
        self._fields.put(_extradata(capture), header=True)
        self._by_container = woven_by_container(path) is True
        self._number = 0
        self._zeros: deque[int] = deque()
        self._woven_until = -1
        self._keys: set[int] = set()

    @classmethod
    def open(cls, path: str) -> Packets | None:
        """Open a file; None: FFmpeg does not read it."""
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
        return cls(capture, path) if capture.isOpened() else None

    def tell(self, number: int, apart: int) -> Told:
        """Read on, and tell of the picture `number` (0: the first) that came of a packet at most so many `apart`."""
        while self._capture is not None and self._number <= number + apart:
            self._read(apart)
        zeros = None
        while self._zeros and self._zeros[0] <= number + apart:
            zeros = self._zeros.popleft()
        return Told(number <= self._woven_until, zeros, self._codec == "ffv1" and number not in self._keys)

    def _read(self, apart: int) -> None:
        packet = self._packet()
        if packet is None:
            self.close()
        elif packet and _shown(self._codec, packet):
            woven = self._fields.put(packet)
            if woven or (woven is None and self._by_container):
                self._woven_until = self._number + apart
            if zero_run(self._codec, packet, self._pixels):
                self._zeros.append(self._number)
            if self._codec == "ffv1" and self._capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
                self._keys.add(self._number)
            self._number += 1

    def _packet(self) -> bytes | None:
        """The next one; None: there is none."""
        if not self._capture.grab():
            return None
        good, found = self._capture.retrieve()
        return bytes(found.data) if good and found is not None else b""

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
