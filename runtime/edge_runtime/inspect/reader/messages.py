"""Messages between the inspecting process and the reader's: JSON behind its length, file descriptors beside it."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

__all__ = ["MOST_BYTES", "MessageError", "receive", "send"]

MOST_BYTES = 64 << 10
_LENGTH = struct.Struct("<I")


class MessageError(Exception):
    """What came is no message: the other side is not one of ours, or has lost its mind."""


def send(channel: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """Send an object, and a file descriptor with it. Raises OSError when the other side is gone."""
    text = json.dumps(message).encode()
    data = _LENGTH.pack(len(text)) + text
    sent = 0
    if descriptor is not None:
        sent = socket.send_fds(channel, [data], [descriptor])
    channel.sendall(data[sent:])


def receive(channel: socket.socket) -> tuple[dict[str, Any], int | None] | None:
    """Return the next object and the descriptor that came with it; None when the other side is gone.

    Raises MessageError for what is no object of at most MOST_BYTES.
    """
    try:
        start, descriptors, _flags, _address = socket.recv_fds(channel, _LENGTH.size, 1)
    except OSError:
        return None
    descriptor = descriptors[0] if descriptors else None
    try:
        head = start + _exactly(channel, _LENGTH.size - len(start)) if start else b""
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        if length > MOST_BYTES:
            raise MessageError(f"a message of {length} bytes; {MOST_BYTES} are the most")
        text = _exactly(channel, length)
        if not length or len(text) < length:  # gone in the middle of it
            if descriptor is not None:
                os.close(descriptor)
            return None
        message = json.loads(text)
    except ValueError as error:
        raise MessageError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise MessageError(f"an object was expected, not {message!r:.40}")
    return message, descriptor


def _exactly(channel: socket.socket, length: int) -> bytes:
    """As many bytes, fewer when the other side is gone."""
    data = b""
    while len(data) < length:
        try:
            part = channel.recv(length - len(data))
        except OSError:
            break
        if not part:
            break
        data += part
    return data
