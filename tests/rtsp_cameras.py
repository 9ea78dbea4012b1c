"""A camera that speaks RTSP over TCP or UDP and plays H.264 or H.265 of before, without some of its packets."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Collection, Sequence

__all__ = ["RATE", "RtspCamera", "pictures_of"]

RATE = 10
_TYPE = 96
_LAST = 0x80  # the marker bit: of a picture
_MTU = 1200
_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
_DELIMITER = {"h264": 9, "hevc": 35}


def _kind(unit: bytes, codec: str) -> int:
    return unit[0] >> 1 & 63 if codec == "hevc" else unit[0] & 31


def pictures_of(data: bytes, codec: str) -> list[list[bytes]]:
    """The NAL units of each picture of a raw stream in which a delimiter begins each (aud=1), without those."""
    pictures: list[list[bytes]] = []
    for unit in (part.rstrip(b"\0") for part in re.split(b"\0\0\1", data)[1:]):
        if _kind(unit, codec) == _DELIMITER[codec]:
            pictures.append([])
        else:
            pictures[-1].append(unit)
    return pictures


def _payloads(unit: bytes, codec: str) -> list[bytes]:
    """One unit, or its fragments (RFC 6184, 5.8 and RFC 7798, 4.4.3)."""
    if len(unit) <= _MTU:
        return [unit]
    skipped = 2 if codec == "hevc" else 1
    head = bytes([unit[0] & 0x81 | 49 << 1, unit[1]]) if codec == "hevc" else bytes([unit[0] & 0xE0 | 28])
    parts = [unit[at : at + _MTU] for at in range(skipped, len(unit), _MTU)]
    ends = [(number == 0) << 7 | (number == len(parts) - 1) << 6 for number in range(len(parts))]
    return [head + bytes([end | _kind(unit, codec)]) + part for end, part in zip(ends, parts, strict=True)]


class RtspCamera:
    """Plays to all who come, as fast as they take it, RATE pictures a second by its clock; a context manager.

    `lost`: the places of the packets in `packets` that are not sent, though they are counted.
    """

    def __init__(self, pictures: Sequence[Sequence[bytes]], codec: str, lost: Collection[int] = ()) -> None:
        self.packets: list[bytes] = []
        for number, picture in enumerate(pictures):
            parts = [part for unit in picture for part in _payloads(unit, codec)]
            for place, part in enumerate(parts):
                kind = _TYPE | (_LAST if place == len(parts) - 1 else 0)
                count, clock = len(self.packets) + 1 & 0xFFFF, 1000 + number * 90000 // RATE
                self.packets.append(struct.pack("!BBHII", 0x80, kind, count, clock, 7) + part)
        self._lost = frozenset(lost)
        self._pause = threading.Event().wait
        sets = [
            base64.b64encode(unit).decode()
            for kind in _SETS[codec]
            for unit in pictures[0]
            if _kind(unit, codec) == kind
        ]
        told = ("sprop-vps={};sprop-sps={};sprop-pps={}" if codec == "hevc" else "sprop-parameter-sets={},{}").format(
            *sets
        )
        name = "H265" if codec == "hevc" else "H264;packetization-mode=1"
        self._description = "\r\n".join(
            [
                *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=x", "t=0 0", f"m=video 0 RTP/AVP {_TYPE}"),
                f"a=rtpmap:{_TYPE} {name.partition(';')[0]}/90000",
                f"a=fmtp:{_TYPE} {';'.join(part for part in (name.partition(';')[2], told) if part)}",
                *("a=control:one", f"a=framerate:{RATE}", ""),
            ]
        )
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._socket.getsockname()[1]}/one"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RtspCamera:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        heard = b""
        with contextlib.suppress(OSError), connection:
            ports: list[int] = []
            while data := connection.recv(4096):
                *requests, heard = (heard + data).split(b"\r\n\r\n")
                for request in requests:
                    ports += [int(found) for found in re.findall(r"client_port=(\d+)", request.decode())]
                    if self._answer(connection, request.decode(), ports):
                        if ports:
                            self._send(connection, ports[0])
                        else:
                            self._play(connection)
                        return

    def _answer(self, connection: socket.socket, request: str, ports: Sequence[int]) -> bool:
        """Whether it is to play now."""
        way = (
            f"RTP/AVP;unicast;client_port={ports[0]}-{ports[0] + 1}" if ports else "RTP/AVP/TCP;unicast;interleaved=0-1"
        )
        word, number = request.split()[0], re.findall(r"CSeq: *(\d+)", request)[0]
        body = self._description if word == "DESCRIBE" else ""
        lines = {
            "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(body)}",
            "SETUP": f"Transport: {way}\r\nSession: 1",
        }.get(word, "Session: 1\r\nRange: npt=0-")
        connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{lines}\r\n\r\n{body}".encode())
        return word == "PLAY"

    def _send(self, connection: socket.socket, port: int) -> None:
        """By UDP: packet by packet, not faster than the kernel takes them, and a goodbye at the end."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for place, packet in enumerate(self.packets):
                if place not in self._lost:
                    sender.sendto(packet, ("127.0.0.1", port))
                    self._pause(0.002)
            sender.sendto(struct.pack("!BBHI", 0x81, 203, 1, 7), ("127.0.0.1", port + 1))
            connection.recv(1)

    def _play(self, connection: socket.socket) -> None:
        for place, packet in enumerate(self.packets):
            if place not in self._lost:
                connection.sendall(b"$\0" + struct.pack("!H", len(packet)) + packet)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
