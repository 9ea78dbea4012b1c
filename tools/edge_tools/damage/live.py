"""Live sources for a long time: an RTSP server killed again and again, sizes that change, and packets lost for minutes.

Every frame shows a defect, so each OK is one of a picture that was not truly seen. All records count, those of the
moments of change too.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from edge_tools.damage.boards import Box
from edge_tools.damage.judge import EdgeRun, Said
from edge_tools.damage.rtsp import ENCODERS, LOSSY, Part, played
from edge_tools.damage.tally import Row, outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Endured", "endure"]

_KILLS, _CHANGES, _LOSSY_SECONDS = 10, 20, 300.0
# In these the sample's detector finds the defects of the undamaged boards.
_SIZES = ("size:512x512", "play", "size:720x720", "size:600x640")
_LOST = 0.01
_RATE = 10
_UDP = "-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -b:v 3M -pix_fmt yuv420p -f rtp_mpegts"


@dataclass(frozen=True, eq=False)
class Endured:
    """`frames` [n, height, width, 3], BGR, which show defects in `boxes`; `share` of the whole length is played."""

    frames: NDArray[np.uint8]
    boxes: list[Box]
    judge: EdgeRun
    work: Path
    share: float = 1.0


def endure(test: Endured, say: Callable[[str], None]) -> Iterator[Row]:
    """Play it all, one after another."""
    kills = [
        Part(word, seconds) for _ in range(_times(test, _KILLS)) for word, seconds in (("kill", 2.0), ("play", 8.0))
    ]
    changes = [Part(_SIZES[turn % len(_SIZES)], 5.0) for turn in range(_times(test, _CHANGES))]
    for form in ("h264", "mjpeg"):
        yield from _played(test, f"server killed {_times(test, _KILLS)} times", form, ENCODERS[form], kills)
        yield from _played(test, f"size changed {_times(test, _CHANGES)} times", form, ENCODERS[form], changes)
        say(f"live, {form}: killed, and changed")
    seconds = _LOSSY_SECONDS * test.share
    kind = f"1 % of packets lost, {seconds:.0f} s"
    for form, encoder in LOSSY.items():
        # Fewer and larger packets: some groups of pictures come through whole.
        fewer = encoder.replace("bitrate=6000", "bitrate=3000").replace("mtu=600", "mtu=1400")
        yield from _played(test, kind, form, fewer, [Part("play", seconds)])
        say(f"live, {form}: {kind}")
    for record in _over_udp(test, seconds):
        yield _row(test, kind, "h264, RTP over UDP", record)


def _times(test: Endured, times: int) -> int:
    return max(1, round(times * test.share))


def _played(test: Endured, kind: str, form: str, encoder: str, parts: list[Part]) -> Iterator[Row]:
    for part, record in played(test.frames, encoder, parts, test.judge, test.work, settles=0.0):
        yield _row(test, kind, form, record, part.word)


def _row(test: Endured, kind: str, form: str, record: Said, word: str = "play") -> Row:
    height, width = test.frames.shape[1:3]
    # A picture of the size before comes, too, after a change.
    changed = [_size(told) for told in _SIZES if told.startswith("size:")] if kind.startswith("size") else []
    sizes = {(width, height), *changed}
    boxes = [_scaled(box, w / width, h / height) for w, h in sizes for box in test.boxes]
    return Row("live", kind, form, 0.0, outcome([record], boxes), record.reasons, word)


def _size(word: str) -> tuple[int, int]:
    width, height = word.removeprefix("size:").split("x")
    return int(width), int(height)


def _scaled(box: Box, across: float, down: float) -> Box:
    return Box(box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down)


def _over_udp(test: Endured, seconds: float) -> list[Said]:
    """A transport stream in RTP packets over UDP, of which a relay loses some."""
    height, width = test.frames.shape[1:3]
    raw = test.work / "udp.bgr"
    raw.write_bytes(test.frames.tobytes())
    with _relay(_LOST) as (into, out):
        words = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-f", "rawvideo", "-pix_fmt", "bgr24"]
        words += ["-s", f"{width}x{height}", "-r", str(_RATE), "-i", str(raw), *_UDP.split()]
        camera = subprocess.Popen([*words, f"rtp://127.0.0.1:{into}?pkt_size=1316"])
        try:
            return test.judge.while_it_lasts(f"rtp://127.0.0.1:{out}", lambda: time.sleep(seconds + 5))
        finally:
            camera.kill()
            camera.wait()
            raw.unlink()


@contextlib.contextmanager
def _relay(lost: float) -> Iterator[tuple[int, int]]:
    """Pass datagrams on but for a share of them; gives the port to send to, and the one where they arrive."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taking,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free,
    ):
        taking.bind(("127.0.0.1", 0))
        taking.settimeout(0.2)
        free.bind(("127.0.0.1", 0))
        arrives = free.getsockname()[1] // 2 * 2  # RTP's are even
        stop = threading.Event()
        passing = threading.Thread(target=_pass_on, args=(taking, arrives, lost, stop), daemon=True)
        free.close()
        passing.start()
        try:
            yield taking.getsockname()[1], arrives
        finally:
            stop.set()
            passing.join()


def _pass_on(taking: socket.socket, arrives: int, lost: float, stop: threading.Event) -> None:
    dice = Random(1)
    while not stop.is_set():
        with contextlib.suppress(OSError):  # nothing came; nobody is there yet
            data = taking.recv(65536)
            if dice.random() >= lost:
                taking.sendto(data, ("127.0.0.1", arrives))
