"""A camera that sends MJPEG over HTTP on the loopback: part after part, as they are, damaged or not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Camera", "sending"]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@dataclass
class Camera:
    """Where it is, and how many parts it has sent: after the last one it sends from the first again."""

    url: str
    sent: int = 0


@contextlib.contextmanager
def sending(parts: Sequence[bytes], rate: float, length_off_by: int = 0) -> Iterator[Camera]:
    """Send the parts to whoever asks, `rate` a second, and stop at the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        camera = Camera(f"http://127.0.0.1:{listening.getsockname()[1]}/stream.mjpg")
        stop = threading.Event()
        threading.Thread(
            target=_accept, args=(listening, camera, parts, rate, length_off_by, stop), daemon=True
        ).start()
        try:
            yield camera
        finally:
            stop.set()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(
    listening: socket.socket, camera: Camera, parts: Sequence[bytes], rate: float, off: int, stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            caller, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(caller, camera, parts, rate, off, stop), daemon=True).start()


def _serve(
    caller: socket.socket, camera: Camera, parts: Sequence[bytes], rate: float, off: int, stop: threading.Event
) -> None:
    with caller, contextlib.suppress(OSError):
        caller.recv(65536)
        caller.sendall(_HEAD)
        due = time.monotonic()
        while not stop.is_set():
            part = parts[camera.sent % len(parts)]
            length = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (len(part) + off)
            caller.sendall(b"--frame\r\n" + length + part + b"\r\n")
            camera.sent += 1
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
