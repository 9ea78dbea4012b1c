"""Runs the RTSP camera beside this file with a plan of what it does, and sorts what was said by the plan's parts."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tools.damage.judge import EdgeRun, Said

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CAMERA", "ENCODERS", "LOSSY", "PYTHON", "Part", "missing", "played"]

_PAY = "rtph264pay name=pay0 pt=96 config-interval=1"
_X264 = "video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=6000 key-int-max=10"
ENCODERS = {
    "h264": f"{_X264} ! {_PAY}",
    "h264, slices": f"{_X264} sliced-threads=true threads=4 ! {_PAY}",
    "h265": "video/x-raw,format=I420 ! x265enc tune=zerolatency speed-preset=ultrafast bitrate=6000 key-int-max=10 ! "
    "h265parse ! rtph265pay name=pay0 pt=96 config-interval=1",
    "mjpeg": "video/x-raw,format=I420,colorimetry=1:4:0:0 ! jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26",
}
LOSSY = {
    form: ENCODERS[form].replace("name=pay0", "mtu=600") + " ! identity drop-probability=0.01 name=pay0"
    for form in ("h264", "h264, slices", "h265")
}
PYTHON = "/usr/bin/python3"
CAMERA = Path(__file__).with_name("rtsp_camera.py")
_NEEDED = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@dataclass(frozen=True)
class Part:
    """What the camera does for some seconds: a word of rtsp_camera.py, or kill (the server ends and comes back)."""

    word: str
    seconds: float


def missing() -> str | None:
    """Return why there can be no RTSP camera here, or None."""
    if shutil.which(PYTHON) is None:
        return f"no {PYTHON}"
    found = subprocess.run([PYTHON, "-c", _NEEDED], capture_output=True, check=False)
    return None if found.returncode == 0 else "no python3-gi with gir1.2-gst-rtsp-server-1.0"


@dataclass
class _Server:
    port: int
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def played(
    frames: NDArray[np.uint8],
    encoder: str,
    parts: Sequence[Part],
    judge: EdgeRun,
    work: Path,
    flags: Sequence[str] = (),
    settles: float = 2.0,
) -> Iterator[tuple[Part, Said]]:
    """Play the parts to edge-run; yield each record with the part it fell in, the first `settles` s of each left out.

    `frames` [n, height, width, 3] BGR. `encoder` is one of ENCODERS' pipelines.
    """
    height, width = frames.shape[1:3]
    raw, control = work / "frames.bgr", work / "control"
    raw.write_bytes(frames.tobytes())
    control.write_text("play")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [str(port), str(raw), str(width), str(height), "10", encoder, str(control)]
    server = _Server(port, [PYTHON, str(CAMERA), *words])
    marks: list[tuple[float, Part]] = []

    def act() -> None:
        time.sleep(5)  # the engine starts
        for part in parts:
            marks.append((time.time(), part))
            if part.word == "kill":
                server.stop()
                time.sleep(part.seconds)
                server.start()
            else:
                control.write_text(part.word)
                time.sleep(part.seconds)
        marks.append((time.time(), Part("end", 0)))

    server.start()
    try:
        records = judge.while_it_lasts(f"rtsp://127.0.0.1:{port}/cam", act, flags)
    finally:
        server.stop()
        raw.unlink()
    for (begin, part), (end, _) in itertools.pairwise(marks):
        for record in records:
            if begin + settles <= record.at < end:
                yield part, record
