"""edge-run on a real RTSP server: judged, NO_READ while it is dead, judged again when it is back."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
from commands import SCRIPTS
from places import SAMPLE

from edge_devices.interpreter import python_code, python_environment
from edge_tools.damage.rtsp import CAMERA, ENCODERS, PYTHON, missing

WHY = missing()
needs_server = pytest.mark.skipif(WHY is not None, reason=f"no RTSP server: {WHY}")


class Server:
    """The camera, which can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        pictures = [cv2.imread(str(path)) for path in sorted((SAMPLE.parent / "images").glob("*.png"))]
        height, width = pictures[0].shape[:2]
        (folder / "frames.bgr").write_bytes(b"".join(picture.tobytes() for picture in pictures))
        (folder / "control").write_text("play")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        # JPEG over RTP: every GStreamer's plugins can.
        words = (self.port, folder / "frames.bgr", width, height, 10, ENCODERS["mjpeg"], folder / "control")
        self._command = [PYTHON, str(CAMERA), *map(str, words)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def edge_run(port: int) -> Iterator[Iterator[dict]]:
    """Yield the records as they come."""
    module, function = SCRIPTS["edge-run"].split(":")
    command = python_code(f"import sys\nfrom {module} import {function}\nsys.exit({function}())")
    words = [str(SAMPLE), "--source", f"rtsp://127.0.0.1:{port}/cam", "--json"]
    with subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=python_environment()
    ) as run:
        assert run.stdout is not None
        try:
            yield (json.loads(line) for line in run.stdout)
        finally:
            run.send_signal(signal.SIGTERM)
            run.communicate()


@needs_server
@pytest.mark.skipif(find_spec("av") is None, reason="needs the extra [video]")
def test_an_rtsp_server_that_dies_is_no_read_and_judged_again_when_it_is_back(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        with edge_run(server.port) as records:
            first = [next(record for record in records if record["verdict"] != "NO_READ") for _ in range(5)]
            server.kill()
            lost = next(record for record in records if "lost" in " ".join(record["reasons"]))
            server.start()
            again = [next(record for record in records if record["verdict"] != "NO_READ") for _ in range(5)]
    finally:
        server.kill()
    assert lost["verdict"] == "NO_READ"
    for record in (*first, *again):
        assert (record["verdict"] == "NG") == bool(record["predictions"])
    assert {record["verdict"] for record in (*first, *again)} <= {"OK", "NG"}
    assert "NG" in {record["verdict"] for record in first}
    assert again[0]["frame_id"] > lost["frame_id"] > first[-1]["frame_id"]
    times = [record["ts_utc"] for record in (*first, lost, *again)]
    assert times == sorted(times), "a picture of before bears a new time"
