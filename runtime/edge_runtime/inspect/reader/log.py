"""What FFmpeg says while it decodes: on stderr, or on stdout where OpenCV passes its warnings on too.

OpenCV hides all of it from its callers, and it is the only word on damage.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from contextlib import suppress

__all__ = ["Log", "capture", "captured"]

# Compiled by re when the first line comes, if one does.
# Lines of FFmpeg's decoders and demuxers about data that are not as they were written, or are missing.
_DAMAGE = (
    rb"error while decoding|[Cc]onceal|[Cc]orrupt|[Mm]issing reference|Missing picture|non-existing [PS]PS|no frame!"
    rb"|Invalid NAL|decode_slice_header error|damaged|overread|Could not find ref|First slice in a frame missing"
    rb"|slice mismatch|[Ii]nvalid cbp|block unavailable|Error parsing NAL|Error splitting|constructing the frame RPS"
    rb"|EOI missing|error dc|bad vlc|error count|EOB marker|EBML number|bad header|unknown stream|Continuity check"
    rb"|RTP: (missed|dropping)|missed [0-9]+ packets|reference frame.*(missing|invalid)|Marker bit missing"
    rb"|slice below image|warning: first frame is no keyframe|cabac decode|mb_type [0-9]+ in|partial file"
    rb"|Truncat|truncat|CRC mismatch|checksum|bitstream error|Invalid level prefix|negative number of zero coeffs"
    rb"|skipping .* bytes|Discarding|Packet corrupt|Failed to decode|Not enough refs|hw frames lost|mmco: unref"
    rb"|skipped MB in|[Ii]nvalid mb type|Error decoding|Error while decoding|Invalid data found"
    rb"|Picture size [0-9]+x[0-9]+ (is invalid|exceeds)"
)
# Those of packets that did not come, which are said once, when what follows them comes.
_LOST = rb"RTP: (missed|dropping)|missed [0-9]+ packets"
# And of what OpenCV could not turn into a picture, while it says that it could: the memory holds whatever it held.
_NO_PICTURE = rb"Cannot convert interlaced|does not contain data|Unsupported input|not supported as input"
# H.264's decoder, of a size of pictures; OpenCV tells of what level a line is, of this one none is about damage.
_SIZE = b"Reinit context to "
_VERBOSE = b"[OPENCV:FFMPEG:40]"
_MOST = 4096
_UNBUFFERED = 2  # stdio.h


class Log:
    """The other end. `damage` counts the lines that tell of damage, `last` is the newest of them.

    `lost` counts those of them about packets that did not come, `no_picture` those that tell of a picture that was not
    made, whatever OpenCV returned. `sizes` counts the sizes of pictures that H.264's decoder began, `size` is the last.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._rest = b""
        self.damage = self.lost = self.no_picture = self.sizes = 0
        self.last = self.size = ""

    def drain(self) -> int:
        """Read what was written by now; return `damage`."""
        with self._lock:
            with suppress(BlockingIOError):
                while data := os.read(self._descriptor, 1 << 16):
                    *lines, self._rest = (self._rest + data).split(b"\n")
                    self._rest = self._rest[-_MOST:]
                    for line in lines:
                        if line.startswith(_VERBOSE):
                            self._size(line)
                            continue
                        self.no_picture += re.search(_NO_PICTURE, line) is not None
                        if re.search(_DAMAGE, line):
                            self.damage += 1
                            self.lost += re.search(_LOST, line) is not None
                            self.last = line.decode("utf-8", "replace").strip()[:200]
            return self.damage

    def _size(self, line: bytes) -> None:
        _, told, after = line.partition(_SIZE)
        if told:
            self.sizes += 1
            self.size = after.partition(b",")[0].decode("ascii", "replace")


_log: Log | None = None


def capture() -> None:
    """Let this process's stdout and stderr lead into a log. What nobody reads is lost rather than waited for."""
    global _log
    if _log is None:
        out, into = os.pipe()
        os.set_blocking(out, False)
        os.set_blocking(into, False)
        os.dup2(into, 1)
        os.dup2(into, 2)
        _unbuffer_stdout()
        os.close(into)
        _log = Log(out)


def _unbuffer_stdout() -> None:
    """Let the C library write at once (setvbuf(3)); elsewhere than under glibc and musl nothing happens."""
    library = ctypes.CDLL(None)
    with suppress(ValueError, AttributeError):
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, _UNBUFFERED, 0)


def captured() -> Log | None:
    """The log, where stderr was captured."""
    return _log
