"""What FFmpeg says on this process's stderr while it decodes: OpenCV hides it, and it is the only word on damage."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress

__all__ = ["Log", "capture", "captured"]

# Lines of FFmpeg's decoders about a picture that is not as it was sent.
_DAMAGE = re.compile(
    rb"error while decoding|concealing|corrupt|missing reference|missing picture|Missing reference|no frame!"
    rb"|Invalid NAL|decode_slice_header error|non-existing PPS|non-existing SPS|error in|ac-tex damaged|damaged at"
    rb"|mb_type|overread|Could not find ref|First slice in a frame missing|slice mismatch|invalid cbp|bytestream"
    rb"|left block unavailable|top block unavailable|out of range|Error parsing|EOI missing|dc error|invalid",
)
_MOST = 4096


class Log:
    """The other end of stderr. `damage` counts the lines that tell of damage; `last` is the newest of them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._rest = b""
        self.damage = 0
        self.last = ""

    def drain(self) -> int:
        """Read what was written by now; return `damage`."""
        with self._lock:
            with suppress(BlockingIOError):
                while data := os.read(self._descriptor, 1 << 16):
                    *lines, self._rest = (self._rest + data).split(b"\n")
                    self._rest = self._rest[-_MOST:]
                    for line in lines:
                        if _DAMAGE.search(line):
                            self.damage += 1
                            self.last = line.decode("utf-8", "replace").strip()[:200]
            return self.damage


_log: Log | None = None


def capture() -> None:
    """Let stderr lead into a log, for the whole process. What nobody reads is lost rather than waited for."""
    global _log
    if _log is None:
        out, into = os.pipe()
        os.set_blocking(out, False)
        os.set_blocking(into, False)
        os.dup2(into, 2)
        os.close(into)
        _log = Log(out)


def captured() -> Log | None:
    """The log, where stderr was captured."""
    return _log
