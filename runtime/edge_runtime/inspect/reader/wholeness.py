"""Which pictures are whole: after damage none is, until one that was decoded from its own data alone."""

from __future__ import annotations

__all__ = ["ALL_ZERO", "COUNTING", "LOST_WHILE_OPENED", "PROBED_SECONDS", "ZERO_RUN", "Wholeness", "zero_run"]

# Of RTP packets that do not come over TCP (a camera in haste leaves some out) FFmpeg says a word only where it may put
# packets in order ("reorder_queue_size"); what it makes of the rest is often decoded without a complaint. TCP keeps
# their order: the queue holds one packet, behind one that is missing.
COUNTING = "2"
# While a stream is opened, FFmpeg reads so much of it ahead, and says of what is missing there when nobody asks for it.
PROBED_SECONDS = 5.0
LOST_WHILE_OPENED = "packets were lost while it was opened"
ZERO_RUN = "a run of zeros or ones lies in its data"
ALL_ZERO = "every byte of it is zero, which no camera gives"

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
# These write ones for what does not change or is flat, but no zeros; nor do they pad with them (MPEG-4 pads to a byte,
# with ones: ISO/IEC 14496-2, 5.2.4).
_ONES_FOR_NOTHING = frozenset(
    {
        *("cfhd", "ffv1", "flv", "flv1", "h261", "h263", "jpeg2000", "mpeg4", "msmpeg4", "msmpeg4v2", "snow", "svq1"),
        *("vc1", "wmv1", "wmv3"),
    }
)
_NAL_CODECS = frozenset({"h264", "hevc"})
_ONES = b"\xff" * 400  # a white macroblock without any compression has 384
_DV_BLOCK = 80  # SMPTE 314M: each begins with three bytes that say what it is, of which one is never 0
_HEADS = (b"\0\0\1", b"\0\0\0\1")


def zero_run(codec: str, packet: bytes, pixels: int = 0) -> bool:
    """Whether zeros, or ones, lie in a compressed picture where no codec writes them: decoders take them for data.

    `pixels`: of the picture.
    """
    if codec == "vp8":
        # RFC 6386, 9.1: how long the first part is.
        begin = 3 + (int.from_bytes(packet[:3], "little") >> 5)
        return packet.find(_LONG, begin) >= 0 or _LONGER in packet or _ONES in packet
    if codec == "prores":  # what stands behind its own length is padding
        return _LONG in packet[: int.from_bytes(packet[:4], "big")] or _LONG in packet[:512]
    if codec in _ZEROS_FOR_FLAT:
        return bytes(len(_LONG) + pixels // _PIXELS_A_ZERO) in packet
    if codec in _ONES_FOR_NOTHING and _LONG in packet:
        return True
    if codec in _COMPRESSING:
        return _LONG in packet or _ONES in packet
    if codec == "dvvideo":
        return any(not any(packet[at : at + 3]) for at in range(0, len(packet), _DV_BLOCK))
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


class Wholeness:
    """Follows one stream. Times are those of the stream, in any unit; None where a packet or picture has none."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._at: float | None = None
        self._judged = False  # a picture since the last damage
        self._begun: float | None = None

    @property
    def recovering(self) -> bool:
        """Whether a new decoder has begun, and none of its pictures was whole."""
        return self._begun is not None

    def damaged(self, at: float | None, reason: str) -> None:
        """A packet of that time is damaged or missing, or the picture that was made of it."""
        if self._reason is None:
            self._reason = reason
        self._judged = False
        self._begun = None
        if self._at is None or (at is not None and at > self._at):
            self._at = at

    def begun(self, at: float | None) -> bool:
        """A new decoder, which knows nothing of the damage, begins with a packet of that time: whether that is over."""
        if at is not None and (self._at is None or at > self._at):
            self._begun = at
        return self.recovering

    def judge(self, at: float | None, key: bool, recovered: bool = False) -> str | None:
        """Why the picture of that time cannot be trusted, None where it can. Pictures come in the order of showing.

        One that is shown later than the damage, and needs no other, ends it; one that was decoded before the damage
        can come after it, and is told by its time. Without one, the first that comes is the damaged one itself.
        `recovered`: the decoder says that it, too, is whole, which a new one knows.
        """
        later = self._judged if at is None else self._at is None or at > self._at
        self._judged = True
        if self._begun is not None and at is not None:
            key = recovered and at >= self._begun
        if self._reason is not None and key and later:
            self._reason = self._at = self._begun = None
        return self._reason
