"""Messages between the processes."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from edge_runtime.inspect.reader.messages import MOST_BYTES, MessageError, receive, send


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_an_object_arrives_with_its_descriptor(channel: tuple[socket.socket, socket.socket]) -> None:
    out, into = os.pipe()
    send(channel[0], {"a": 1}, into)
    send(channel[0], {"b": [2]})
    message, descriptor = receive(channel[1]) or ({}, None)
    assert message == {"a": 1}
    assert descriptor is not None
    os.write(descriptor, b"x")
    assert os.read(out, 1) == b"x"
    for one in (out, into, descriptor):
        os.close(one)
    assert receive(channel[1]) == ({"b": [2]}, None)


def test_the_end_is_none_in_the_middle_of_a_message_too(channel: tuple[socket.socket, socket.socket]) -> None:
    channel[0].sendall(struct.pack("<I", 10) + b"{}")
    channel[0].close()
    assert receive(channel[1]) is None
    assert receive(channel[1]) is None


@pytest.mark.parametrize("text", [b"[1]", b"{", b"\xff\xff"])
def test_what_is_no_object_is_refused(channel: tuple[socket.socket, socket.socket], text: bytes) -> None:
    channel[0].sendall(struct.pack("<I", len(text)) + text)
    with pytest.raises(MessageError):
        receive(channel[1])


def test_what_is_too_long_is_refused_before_it_is_read(channel: tuple[socket.socket, socket.socket]) -> None:
    channel[0].sendall(struct.pack("<I", MOST_BYTES + 1))
    with pytest.raises(MessageError, match="most"):
        receive(channel[1])
