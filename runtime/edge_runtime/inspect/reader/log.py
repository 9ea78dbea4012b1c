"""What FFmpeg says while it decodes: on stderr, or on stdout where OpenCV passes its warnings on too.

OpenCV hides all of it from its callers, and it is the only word on damage. It does not say which file or stream a line
is about: each is decoded in a thread of its own, whose descriptors 1 and 2 lead into a log of its own where the kernel
lets threads have their own (Linux; some containers forbid it, and then all share one).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import sys
import threading
from contextlib import suppress

__all__ = ["Log", "capture", "captured", "own_log"]

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
    rb"|Picture size [0-9]+x[0-9]+ (is invalid|exceeds)|LZW decode failed"
)
# Those of packets that did not come, which are said once, when what follows them comes.
_LOST = rb"RTP: (missed|dropping)|missed [0-9]+ packets"
# And of a macroblock that H.264's decoder gave up in the middle.
_BROKEN = rb"error while decoding MB"
# And of what OpenCV could not turn into a picture, while it says that it could: the memory holds whatever it held.
_NO_PICTURE = rb"Cannot convert interlaced|does not contain data|Unsupported input|not supported as input"
# H.264's decoder, of a size of pictures; OpenCV tells of what level a line is, of this one none is about damage.
_SIZE = b"Reinit context to "
_FORMAT = b"chosen by get_format()"  # of most decoders, once they begin and when their pictures change
_VERBOSE = (b"[OPENCV:FFMPEG:40]", b"[OPENCV:FFMPEG:48]")
_MOST = 4096
_UNBUFFERED = 2  # stdio.h
_CLONE_FILES, _CLOSE_RANGE_UNSHARE = 0x400, 2  # linux/sched.h, linux/close_range.h
_PIPE_SIZE, _PIPE_BYTES = 1031, 1 << 20  # fcntl.h: F_SETPIPE_SZ; what is said while a file is opened is 30 KB at most
_DESCRIPTORS = 4096


class Log:
    """The other end. `damage` counts the lines that tell of damage, `last` is the newest of them.

    `lost` counts those of them about packets that did not come, `broken` those about macroblocks, `no_picture` those
    that tell of a picture that was not made, whatever OpenCV returned. `sizes` counts the sizes of pictures that
    H.264's decoder began, `size` is the last; `formats` how often any decoder chose the format of its pictures.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._rest = b""
        self.damage = self.lost = self.broken = self.no_picture = self.sizes = self.formats = 0
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
                            self.broken += re.search(_BROKEN, line) is not None
                            self.last = line.decode("utf-8", "replace").strip()[:200]
            return self.damage

    def _size(self, line: bytes) -> None:
        self.formats += _FORMAT in line
        _, told, after = line.partition(_SIZE)
        if told:
            self.sizes += 1
            self.size = after.partition(b",")[0].decode("ascii", "replace")


_log: Log | None = None
_own = threading.local()


def capture() -> None:
    """Let this process's stdout and stderr lead into a log. What nobody reads is lost rather than waited for."""
    global _log
    if _log is None:
        _log = _new_log()
        _unbuffer_stdout()


def own_log(keep: int) -> bool:
    """Let this thread, and those that it starts, have descriptors of their own, and a log; of the others `keep` alone.

    Whether it has: then `keep` has to be closed where it came from, too.
    """
    if _log is None or not _unshared():
        return False
    os.closerange(3, keep)
    os.closerange(keep + 1, max(_DESCRIPTORS, keep + 1))
    _own.log = _new_log()
    return True


def captured() -> Log | None:
    """The log of this thread, or the one that all share; None where nothing was captured."""
    return getattr(_own, "log", _log)


def _new_log() -> Log:
    out, into = os.pipe()
    os.set_blocking(out, False)
    os.set_blocking(into, False)
    with suppress(OSError, ValueError):
        fcntl.fcntl(into, _PIPE_SIZE, _PIPE_BYTES)
    os.dup2(into, 1)
    os.dup2(into, 2)
    os.close(into)
    return Log(out)


def _unshared() -> bool:
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if hasattr(library, "unshare") and library.unshare(_CLONE_FILES) == 0:
        return True
    # What forbids the first call (Docker, for what else it can do) mostly allows this one; no descriptor is so large.
    return hasattr(library, "close_range") and library.close_range(1 << 30, 1 << 30, _CLOSE_RANGE_UNSHARE) == 0


def _unbuffer_stdout() -> None:
    """Let the C library write at once (setvbuf(3)); elsewhere than under glibc and musl nothing happens."""
    library = ctypes.CDLL(None)
    with suppress(ValueError, AttributeError):
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, _UNBUFFERED, 0)
