"""A web camera on the loopback, which answers as the test says."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Serve = Callable[[socket.socket, str], None]


class Camera:
    """Serves one connection after another with `serve`, which gets the socket and the request's head."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                stream, _ = self._listening.accept()
            except OSError:
                return
            with stream:
                head = b""
                while b"\r\n\r\n" not in head and (piece := stream.recv(65536)):
                    head += piece
                self.asked.append(head.decode())
                with contextlib.suppress(OSError):
                    self._serve(stream, head.decode())

    def close(self) -> None:
        self._listening.close()
