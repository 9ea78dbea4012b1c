"""A decoder of H.264 that is made anew after damage, with a packet that decoding may begin with.

libavcodec's keeps what an error in a macroblock left undone: coefficients that were read and not used. They become part
of a later picture, of a whole IDR picture and of all that hang on it too, and flushing does not clear them. A new one
has none. It also knows when pictures after a recovery point are whole, which need not be a key picture's (periodic
intra refresh; ISO/IEC 14496-10, D.2.8).
"""

from __future__ import annotations

from typing import Any

import av

__all__ = ["Renewal"]

_RENEWED = "h264"
_START = b"\0\0\1"
_SPS, _PPS = 7, 8
_SLICES = frozenset({1, 2, 5})
_OUTPUT_CORRUPT = 8  # AV_CODEC_FLAG_OUTPUT_CORRUPT: pictures that are not whole yet come too, and say so


class Renewal:
    """Holds a stream's decoder: `context` is the one that decodes now."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self._made_as = context
        self._options = dict(context.options)  # PyAV leaves none in one that is open
        self._sets = b""
        self._worn = False

    @property
    def renewed(self) -> bool:
        """Whether it is another one than that which came with the stream."""
        return self.context is not self._made_as

    def damaged(self) -> None:
        """Something was wrong with what it decodes."""
        self._worn = True

    def due(self, packet: Any, data: bytes) -> bool:
        """Whether a new one is to begin with this packet, which holds `data`."""
        if self.context.name != _RENEWED:
            return False
        if sets := _parameter_sets(data):
            self._sets = sets if sets[len(_START)] & 31 == _SPS else self._sets + sets
        return self._worn and bool(packet.is_keyframe)

    def renew(self, packet: Any) -> list[Any]:
        """Begin with a new one, with this packet; return the pictures that the old one still held."""
        held = _rest(self.context)
        for frame in held:
            frame.time_base = packet.time_base
        made_as, context = self._made_as, av.CodecContext.create(_RENEWED, "r")
        context.extradata = (made_as.extradata or b"") + self._sets
        context.thread_type, context.thread_count = made_as.thread_type, made_as.thread_count
        context.options = dict(self._options)
        context.flags |= _OUTPUT_CORRUPT
        self.context, self._worn = context, False
        return held


def _rest(context: Any) -> list[Any]:
    try:
        return list(context.decode(None))
    except (av.FFmpegError, EOFError):
        return []


def _parameter_sets(data: bytes) -> bytes:
    """Those before a packet's first slice, each behind a start code; packets that have none of these need none."""
    if not data.startswith((_START, b"\0" + _START)):
        return b""
    found, place = b"", data.find(_START)
    while 0 <= place < len(data) - 3 and (kind := data[place + 3] & 31) not in _SLICES:
        end = data.find(_START, place + 3)
        if kind in (_SPS, _PPS):
            found += data[place : end if end >= 0 else len(data)]
        place = end
    return found
