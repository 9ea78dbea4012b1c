"""A real RTSP camera that shows one picture until it is killed, and may come back with another one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tools.damage.rtsp import CAMERA, ENCODERS, PYTHON
from edge_tools.station.mosquitto import free_port, reachable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Camera"]

_RATE = 10


class Camera:
    """A context manager that kills the server in the end. `encoder`: one of damage.rtsp's ("": it is never started)."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self._folder, self._encoder = folder, ENCODERS[encoder] if encoder else ""
        self._port = free_port()
        self.url = f"rtsp://127.0.0.1:{self._port}/cam"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, picture: NDArray[np.uint8]) -> None:
        """Show a picture, uint8 [height, width, 3] BGR, in its own size."""
        height, width = picture.shape[:2]
        frames, control = self._folder / "frames.bgr", self._folder / "control"
        frames.write_bytes(picture.tobytes())
        control.write_text("play")
        words = (self._port, frames, width, height, _RATE, self._encoder, control)
        self._process = subprocess.Popen(
            [PYTHON, str(CAMERA), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if not reachable(self._port):
            raise RuntimeError(f"nobody listens at {self.url}")

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does; a second call does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
