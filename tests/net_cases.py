"""For tests of the network: who listens to a broker, a wire that breaks, a receiver of webhooks, certificates."""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

from edge_tools.station.mosquitto import Ear, mosquitto_program

__all__ = ["Ear", "Receiver", "Wire", "certificates", "needs_mosquitto"]

needs_mosquitto = pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed")


class Wire:
    """A TCP connection that is passed on, until a test has it swallow what comes back, or breaks it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.deaf = threading.Event()  # nothing that the server says comes through
        self.swallowed = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection; new ones are passed on, and heard."""
        self.deaf.clear()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        self.cut()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one = self._listening.accept()[0]
                other = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [one, other]
                threading.Thread(target=self._pass, args=(one, other, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(other, one, True), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if back and self.deaf.is_set():
                    self.swallowed.set()
                else:
                    other.sendall(data)
        for end in (one, other):
            end.close()


class Receiver:
    """A server of webhooks that answers as it is told: `answers` are (status, headers), or None for none at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: queue.Queue[tuple[int, dict[str, str]] | None] = queue.Queue()
        self.ending = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked.append((self.path, dict(self.headers), body))
                told = (200, {}) if receiver.answers.empty() else receiver.answers.get()
                if told is None:
                    receiver.ending.wait(PATIENCE)
                    return
                self.send_response(told[0])
                for name, value in {"Content-Length": "0", **told[1]}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Return a new authority's certificate, and one of it for 127.0.0.1 with its key."""
    folder.mkdir(exist_ok=True)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for command in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr -subj /CN=127.0.0.1",
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2 -extfile names",
    ):
        _openssl(folder, command.split())
    return folder / "ca.pem", folder / "own.pem", folder / "own.key"


def _openssl(folder: Path, arguments: Sequence[str]) -> None:
    try:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
