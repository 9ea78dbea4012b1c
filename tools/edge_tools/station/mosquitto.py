"""A mosquitto broker on the loopback, and who listens to it, for whoever tries something against them."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Ear", "Mosquitto", "free_port", "mosquitto_program", "reachable"]

_PATIENCE_S = 300.0


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


class Ear:
    """A subscriber with a session that outlives its connections and the broker's restarts.

    What the broker says it tells again, because it did not hear that we heard it, is heard once.
    """

    def __init__(self, port: int, topic: str = "#", name: str = "ear") -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self.heard: list[tuple[str, Any, bool]] = []
        self._changed = threading.Condition()
        self._here = False
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(0.02, 0.1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 2)
        self._client.on_subscribe = lambda *_: self._note()
        self._client.on_disconnect = lambda *_: self._note(here=False)
        self._client.on_message = lambda client, data, message: self._note(message)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()
        self.wait(lambda: self._here)

    def verdicts(self) -> list[dict[str, Any]]:
        """Every event that came as a message, but for those that were retained before."""
        return [value for topic, value, old in list(self.heard) if topic.endswith("/verdict") and not old]

    def wait(self, true: Callable[[], bool]) -> None:
        """Wait for what is heard to make something true. Raises RuntimeError where it does not."""
        with self._changed:
            if not self._changed.wait_for(true, _PATIENCE_S):
                raise RuntimeError(f"nothing came that was waited for; last: {self.heard[-5:]}")

    def say(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        """Publish something as soon as there is a connection, and wait until the broker has it."""
        self.wait(lambda: self._here)
        self._client.publish(topic, payload, 1, retain).wait_for_publish(_PATIENCE_S)

    def close(self) -> None:
        """Leave; the session stays."""
        self._client.disconnect()
        self._client.loop_stop()

    def _note(self, message: Any = None, here: bool = True) -> None:
        with self._changed:
            self._here = here
            if message is not None:
                text = message.payload.decode()
                value = json.loads(text) if text.startswith("{") else text
                if not (message.dup and (message.topic, value, message.retain) in self.heard):
                    self.heard.append((message.topic, value, message.retain))
            self._changed.notify_all()
