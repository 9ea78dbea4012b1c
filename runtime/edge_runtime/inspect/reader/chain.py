"""Where the chain of a container is broken: packets behind that place are left out by FFmpeg, often without a word.

ASF, AVI, FLV and Ogg are chains of packets without an index that would show what is missing. Each walk yields, for each
packet of video that FFmpeg should give, whether something before it (or of it) cannot be read.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

__all__ = ["MISSING", "Chain"]

MISSING = "data are missing before it: the file's chain of packets is broken there"

_GUID_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_GUID_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_GUID_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_GUID_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_GUID_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_WIDTHS = (0, 1, 2, 4)  # bytes of a number, by the two bits that tell of it
_MOST = 1 << 24  # of a header
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_LEAST_PACKET = 64  # bytes of ASF
_AVI_CHUNK = re.compile(rb"[0-9A-Za-z_ ]{4}")
_AVI_VIDEO = re.compile(rb"(\d\d)d[cb]", re.ASCII)
_FLV_TAG = re.compile(rb"[\x08\x09\x12](.{3}).{4}\0\0\0", re.DOTALL)  # sounds, pictures, data; the stream is 0


class Chain:
    """Follows a file's packets of video, in step with who reads them."""

    def __init__(self, path: str) -> None:
        self._broken: Iterator[bool] = iter(())
        self._file: BinaryIO | None = None
        if "://" in path:
            return
        with contextlib.suppress(OSError):
            self._file = Path(path).open("rb")  # noqa: SIM115 (closed by close)
            head = self._file.read(16)
            walk = next((walk for begin, walk in _WALKS.items() if head.startswith(begin)), None)
            if walk is not None and (head[:4] != b"RIFF" or head[8:12] == b"AVI "):
                self._broken = walk(self._file)
            else:
                self.close()

    def broken(self) -> bool:
        """Whether something is missing before the next packet, or of it."""
        try:
            return next(self._broken, False)
        except OSError:
            return True

    def rest(self) -> bool:
        """Whether something is missing behind the last one."""
        found = False
        while (broken := next(self._broken, None)) is not None:
            found = found or broken
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._broken = iter(())


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _asf(file: BinaryIO) -> Iterator[bool]:
    """Yield by the media objects (Advanced Systems Format, 3 and 5): complete ones are packets."""
    file.seek(16)
    header = file.read(max(min(_little(file.read(8)), _MOST) - 24, 0))
    size, video, place = 0, -1, 6
    while place + 24 <= len(header):
        name, length = header[place : place + 16], _little(header[place + 16 : place + 24])
        if name == _GUID_FILE:
            size = _little(header[place + 92 : place + 96])
        elif name == _GUID_STREAM and header[place + 24 : place + 40] == _GUID_VIDEO and video < 0:
            video = _little(header[place + 72 : place + 73]) & 127
        place += max(length, 24)
    file.seek(24 + len(header))
    head = file.read(50)
    if head[:16] != _GUID_DATA or size < _LEAST_PACKET or video < 0:
        return
    count = _little(head[40:48])
    objects = _Objects(video)
    number = 0
    while (packet := file.read(size)) and (not count or number < count):
        number += 1
        if len(packet) < size or not objects.put(packet):
            objects.lost()
        yield from objects.taken()
    if objects.open or objects.missing or number < count:
        yield True


class _Objects:
    """The media objects of one stream, put together of the payloads of packets."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._number: int | None = None  # of the newest object
        self._have = self._size = 0
        self.missing = False
        self._done: list[bool] = []

    @property
    def open(self) -> bool:
        """Whether the newest object is not complete."""
        return self._have < self._size

    def lost(self) -> None:
        """A packet cannot be read."""
        self.missing = True

    def taken(self) -> list[bool]:
        """What was completed: whether something is missing before each."""
        done, self._done = self._done, []
        return done

    def put(self, packet: bytes) -> bool:
        """Take a packet; whether it can be read."""
        try:
            return self._parsed(packet)
        except IndexError:
            return False

    def _parsed(self, packet: bytes) -> bool:
        """5.2."""
        place = 1 + (packet[0] & 15) if packet[0] & 128 else 0
        if packet[0] & 128 and packet[0] & 0x70:
            return False
        flags, widths = packet[place], packet[place + 1]
        if not packet[0] & 128 and flags == widths == 0 and not any(packet[:64]):
            return False
        place += 2
        place, length = _number(packet, place, flags >> 5)
        place, _ = _number(packet, place, flags >> 1)
        place, padding = _number(packet, place, flags >> 3)
        place += 6
        end = (length or len(packet)) - padding
        if end > len(packet) or (widths >> 6) & 3 != 1:
            return False
        many, kind = 1, 0
        if flags & 1:
            many, kind, place = packet[place] & 63 if place < end else 0, packet[place] >> 6, place + 1
        for _ in range(many):
            if place >= end:
                return False
            stream = packet[place] & 127
            place, number = _number(packet, place + 1, widths >> 4)
            place, offset = _number(packet, place, widths >> 2)
            place, told = _number(packet, place, widths)
            whole = _little(packet[place : place + 4]) if told >= 8 else 0
            place += told
            payload = end - place
            if flags & 1:
                place, payload = _number(packet, place, kind)
            if payload < 0 or place + payload > end:
                return False
            place += payload
            if stream == self._stream:
                self._payload(number, offset, whole, payload, told == 1)
        return True

    def _payload(self, number: int, offset: int, whole: int, length: int, compressed: bool) -> None:
        if compressed:  # whole objects, several of them: of sounds
            return
        if number != self._number or not self.open:
            if self._number is not None:
                self.missing = self.missing or self.open or (number - self._number) % 256 != 1
            self.missing = self.missing or offset != 0
            self._number, self._have, self._size = number, 0 if offset == 0 else whole, whole
        if offset != self._have:
            self.missing = True
            self._have = self._size
            return
        self._have += length
        if not self.open:
            self._done.append(self.missing)
            self.missing = False


def _number(packet: bytes, place: int, kind: int) -> tuple[int, int]:
    """What stands behind a number, and the number."""
    width = _WIDTHS[kind & 3]
    return place + width, _little(packet[place : place + width])


def _avi(file: BinaryIO) -> Iterator[bool]:
    """Yield by the chunks (RIFF; OpenDML 1.02)."""
    file.seek(12)
    video, missing = b"", False
    while len(head := file.read(8)) == 8:
        name, size = head[:4], _little(head[4:])
        if name in (b"LIST", b"RIFF"):
            kind = file.read(4)
            if kind not in (b"movi", b"rec ", b"AVIX", b"AVI "):
                file.seek(size - 4 + size % 2, 1)
            continue
        if not _AVI_CHUNK.match(name):
            missing = True
            if not _found(file, 8):
                break
            continue
        found = _AVI_VIDEO.match(name)
        if found:
            video = video or found[1]
            if found[1] == video and size:
                yield missing
                missing = False
        file.seek(size + size % 2, 1)
    if missing:
        yield True


def _found(file: BinaryIO, back: int) -> bool:
    """Go on with the next name of a chunk of video or sound; whether there is one."""
    file.seek(1 - back, 1)
    while data := file.read(1 << 16):
        at = re.search(rb"0\d(dc|db|wb)", data)
        if at is not None:
            file.seek(at.start() - len(data), 1)
            return True
        if len(data) < 1 << 16:
            return False
        file.seek(-3, 1)
    return False


def _flv(file: BinaryIO) -> Iterator[bool]:
    """Yield by the tags (Flash Video File Format 10.1, E.4)."""
    file.seek(5)
    file.seek(int.from_bytes(file.read(4), "big") + 4)
    missing = False
    while len(head := file.read(13)) >= 11:
        if not _FLV_TAG.match(head):
            missing = True
            if not _tag(file, len(head)):
                break
            continue
        if head[0] == 9 and _flv_picture(head[11:]):
            yield missing
            missing = False
        file.seek(int.from_bytes(head[1:4], "big") + 2, 1)
    if missing:
        yield True


def _flv_picture(about: bytes) -> bool:
    """Whether a tag holds a picture, not what its decoder needs (E.4.3; with the bit 128: Enhanced RTMP)."""
    if len(about) < 2 or about[0] >> 4 == 5:
        return False
    return about[0] & 15 in (1, 3) if about[0] & 128 else about[0] & 15 not in (7, 12) or about[1] == 1


def _tag(file: BinaryIO, back: int) -> bool:
    """Go on with the next tag, which its length behind it confirms; whether there is one."""
    file.seek(1 - back, 1)
    data = file.read(_MOST)
    for found in _FLV_TAG.finditer(data):
        end = found.end() + (size := int.from_bytes(found[1], "big"))
        if int.from_bytes(data[end : end + 4], "big") == size + 11:
            file.seek(found.start() - len(data), 1)
            return True
    return False


def _ogg(file: BinaryIO) -> Iterator[bool]:
    """Yield by the packets of Theora, but for its three headers and those without data (RFC 3533, 6)."""
    file.seek(0)
    video: bytes | None = None
    after, missing, begun, size = 0, False, True, 0  # `begun`: the packet's first page was there
    while head := file.read(27):
        table = file.read(head[26]) if len(head) == 27 else b""
        page = file.read(sum(table))
        if head[:4] != b"OggS" or _ogg_sum(head + table + page) != _little(head[22:26]):
            missing = True
            file.seek(1 - len(head) - len(table) - len(page), 1)
            if not _page(file):
                break
            continue
        video = video or (head[14:18] if page.startswith(b"\x80theora") else None)
        if head[14:18] != video:
            continue
        if _little(head[18:22]) != after:
            missing, begun, size = True, not head[5] & 1, 0
        after = _little(head[18:22]) + 1
        place = 0
        for length in table:
            first = page[place : place + 1] if size == 0 else b"\0"
            begun, size, place = begun and not first >= b"\x80", size + length, place + length
            if length < 255:
                if begun and size:
                    yield missing
                    missing = False
                begun, size = True, 0
    if missing:
        yield True


def _ogg_sum(page: bytes) -> int:
    """The check sum: that of zlib, with the bits of each byte, and of the sum, in the other order."""
    found = zlib.crc32((page[:22] + bytes(4) + page[26:]).translate(_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(found.to_bytes(4, "little").translate(_TURNED), "big")


def _page(file: BinaryIO) -> bool:
    """Go on with the next page; whether there is one."""
    while data := file.read(1 << 16):
        at = data.find(b"OggS")
        if at >= 0:
            file.seek(at - len(data), 1)
            return True
        if len(data) < 1 << 16:
            return False
        file.seek(-3, 1)
    return False


_WALKS: Mapping[bytes, Callable[[BinaryIO], Iterator[bool]]] = {
    _GUID_HEADER: _asf,
    b"RIFF": _avi,
    b"FLV": _flv,
    b"OggS": _ogg,
}
