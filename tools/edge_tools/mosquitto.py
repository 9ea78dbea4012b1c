"""A mosquitto broker on the loopback, started and stopped by whoever tries something against it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Mosquitto", "free_port", "mosquitto_program", "reachable"]

_PATIENCE_S = 60.0


def mosquitto_program() -> str | None:
    """Return the broker's program; None: it is not installed. (Debian has it where users' PATH does not look.)"""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port of the loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reachable(port: int, patience: float = _PATIENCE_S) -> bool:
    """Wait until somebody listens at a port of the loopback."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        time.sleep(0.02)
    return False


class Mosquitto:
    """A broker with a folder of its own, which keeps sessions and retained messages from one start to the next."""

    def __init__(self, folder: Path, lines: Sequence[str] = ("allow_anonymous true",)) -> None:
        """`lines` of its configuration beside the listener."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._file = folder / "mosquitto.conf"
        own = [
            "user root",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            f"log_dest file {folder / 'mosquitto.log'}",
            f"listener {self.port} 127.0.0.1",
        ]
        self._file.write_text("\n".join([*own, *lines, ""]), encoding="utf-8")

    @property
    def url(self) -> str:
        """As a recipe names it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens. Raises RuntimeError where it does not."""
        program = mosquitto_program()
        if program is None:
            raise RuntimeError("mosquitto is not installed: apt-get install mosquitto")
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen([program, "-c", self._file], stdout=nowhere, stderr=nowhere)
        if not reachable(self.port):
            raise RuntimeError(f"mosquitto does not listen at {self.port}: see {self._file.parent}/mosquitto.log")

    def stop(self, kill: bool = False) -> None:
        """End it, after it has written down what it keeps, or at once; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill() if kill else process.terminate()
            process.wait()

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
