"""Cameras behind a web address: pictures without end (MJPEG), or one for each request. What else is there, others read.

Which it is, the first answer says: by its type, else by its first bytes.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_runtime.errors import DataError, SourceError
from edge_runtime.inspect.address import Address, parse_address
from edge_runtime.inspect.reader.decoder import Decoder, DecoderFacts, DecoderSettings, End, Shot
from edge_runtime.inspect.reader.http import Answer, get
from edge_runtime.inspect.reader.size_limit import SizeLimit
from edge_runtime.inspect.reader.splitter import MOST_BYTES, Splitter
from edge_runtime.inspect.sources.stills.read import Reading, pictures
from edge_runtime.inspect.sources.stills.room import UNBOUNDED, Room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MjpegDecoder", "SnapshotDecoder", "decode_picture", "open_webcam"]

# Bytes that decoding a picture of the planned size may take beside four copies of it.
_WORKING = 32 << 20
_LOOK = 0.2  # seconds between two looks whether the time is over
_WORDS = ("text/", "application/json", "application/xml", "application/xhtml")
# So many periods without a picture, and a connection is given up; and so many time limits while none is known.
_PERIODS, _UNKNOWN, _GAPS = 3.0, 6.0, 15
_MOTION = ("video/x-motion-jpeg", "video/x-mjpeg", "video/mjpeg", "video/x-jpeg")
# `bytes -> picture or the reason why not`, as the decoder of image files has it.
Decode = Callable[[bytes], "NDArray[np.uint8] | str"]


def open_webcam(
    settings: DecoderSettings,
    decode: Decode,
    others: Callable[[DecoderSettings], Decoder],
    clock: Callable[[], float] = time.monotonic,
) -> Decoder:
    """Open what is behind an http(s) address; `others` opens what is neither kind of pictures. Raises SourceError."""
    address = parse_address(settings.address)
    answer = get(address, settings.open_timeout)
    kind = answer.headers.get("content-type", "").lower().strip()
    begins = b""
    if not kind.startswith(("multipart/", "image/", *_MOTION)):
        begins = _first(answer, clock() + settings.open_timeout, clock)
        answer.unread(begins)
        if kind.startswith(_WORDS) and not begins.lstrip(b"\r\n-").startswith(b"\xff\xd8"):
            answer.close()
            raise SourceError(f"it answers with {kind.partition(';')[0]}, not with pictures: {_told(begins)}")
    picture = begins.startswith((b"\xff\xd8\xff", b"\x89PNG")) and "content-length" in answer.headers
    if kind.startswith("image/") or picture:
        return SnapshotDecoder(address, answer, settings, decode, clock)
    untold = not kind or "octet-stream" in kind
    if kind.startswith(("multipart/", *_MOTION)) or (untold and _like_parts(begins)):
        return MjpegDecoder(answer, settings, decode, clock)
    answer.close()
    return others(settings)


def decode_picture(data: bytes, size: SizeLimit | None = None) -> NDArray[np.uint8] | str:
    """Return a picture if it is whole, else the reason why it is not, by the rules that hold for files."""
    size = size or SizeLimit(None)
    room = Room(3 * size.most, 9 * size.most + _WORKING) if size.most else UNBOUNDED
    try:
        first, *more = pictures(data, Reading(room=room))
    except DataError as error:
        return f"cannot decode: {error}"
    if more:
        return f"it holds {len(more) + 1} pictures, and a camera's is one"
    if first.image is None:
        return f"cannot decode: {first.error}"
    return size.see(*first.image.shape[:2]) or first.image


def _like_parts(begins: bytes) -> bool:
    text = begins.lstrip(b"\r\n")
    return text.startswith((b"--", b"\xff\xd8\xff")) or text.lower().startswith((b"content-", b"x-timestamp"))


def _first(answer: Answer, until: float, clock: Callable[[], float]) -> bytes:
    while (left := until - clock()) > 0:
        try:
            piece = answer.read(left)
        except OSError as error:
            raise SourceError(f"lost before the first picture: {error.strerror or error}") from error
        if piece is not None:
            return piece
    answer.close()
    raise SourceError("it answers, and then sends nothing")


def _told(begins: bytes) -> str:
    return " ".join(begins[:80].decode("utf-8", "replace").split())[:60]


class MjpegDecoder:
    """Pictures one after another, in parts of one answer."""

    def __init__(
        self, answer: Answer, settings: DecoderSettings, decode: Decode, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.facts = DecoderFacts("webcam", "mjpeg")
        self._answer, self._timeout, self._decode, self._clock = answer, settings.read_timeout, decode, clock
        self._splitter = Splitter()
        self._waiting: list[tuple[bytes, bool, float]] = []
        self._number = -1
        self._since = clock()
        self._came = 0
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._end: End | None = None

    @property
    def patience(self) -> float:
        """Seconds without a picture after which the camera is taken to hang: longer for one that is slow by nature.

        One that is gone is found out sooner (http.py), and that it is silent is said long before.
        """
        if not self._came:
            return self._timeout
        if len(self._gaps) < 2:
            return _UNKNOWN * self._timeout
        return max(self._timeout, _PERIODS * statistics.median_high(self._gaps))

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next picture, or a part that is none; the End when nothing whole came for too long."""
        until = None if timeout is None else self._clock() + timeout
        while not self._waiting:
            if self._end is not None:
                return self._end
            now = self._clock()
            if now - self._since > self.patience:
                self._end = End(f"no picture for {self.patience:g} s")
                continue
            if until is not None and now >= until:
                return None
            self._receive(_LOOK if until is None else min(_LOOK, until - now))
        data, whole, arrived = self._waiting.pop(0)
        self._number += 1
        return _shot(data, whole, arrived, self._number, self._decode)

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()
        self._end = self._end or End()

    def _receive(self, seconds: float) -> None:
        try:
            data = self._answer.read(seconds)
        except OSError as error:
            self._end = End(f"the connection was lost: {error.strerror or error}")
            return
        if data is None:
            return
        now = self._clock()
        if not data:
            rest = self._splitter.rest()
            self._waiting += [(rest, False, now)] if rest else []
            self._end = End("the camera has ended the connection")
            return
        for picture, whole in self._splitter.feed(data):
            self._waiting.append((picture, whole, now))
            if self._came:
                self._gaps.append(now - self._since)
            self._came += 1
            self._since = now
        if self._splitter.lost:
            self._end = End(self._splitter.lost)


def _shot(data: bytes, whole: bool, arrived: float, number: int, decode: Decode) -> Shot:
    started = time.perf_counter()
    told = decode(data) if whole else "a picture that was cut off"
    ms = (time.perf_counter() - started) * 1000
    if isinstance(told, str):
        return Shot(error=told, arrived=arrived, number=number, decode_ms=ms)
    return Shot(told, arrived=arrived, number=number, decode_ms=ms)


class SnapshotDecoder:
    """One picture for each request; the same bytes again are the same picture and no new one."""

    def __init__(
        self,
        address: Address,
        first: Answer,
        settings: DecoderSettings,
        decode: Decode,
        clock: Callable[[], float] = time.monotonic,
        ask: Callable[..., Answer] = get,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._poll = settings.poll
        # What is asked for seldom comes seldom.
        self.facts = DecoderFacts("webcam", "snapshots", fps=1 / self._poll if self._poll > 1 else None)
        self._address, self._answer, self._settings = address, first, settings
        self._decode, self._clock, self._ask, self._pause = decode, clock, ask, pause
        self._asked = clock()
        self._before = b""
        self._number = -1
        self._open: Answer | None = first
        self._end: End | None = None

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next picture that is another one than the last."""
        until = self._clock() + (self._settings.read_timeout if timeout is None else timeout)
        while self._end is None:
            if self._open is None:
                due = self._asked + self._poll
                now = self._clock()
                if min(due, until) > now:
                    self._pause(min(due, until) - now)
                if self._clock() < due:
                    return None
            read = self._picture()
            if read is not None:
                return read
            if self._clock() >= until:
                return None
        return self._end

    def close(self) -> None:
        """Close the connection that is open, if there is one."""
        if self._open is not None:
            self._open.close()
        self._end = self._end or End()

    def _picture(self) -> Shot | None:
        """Ask once. None: nothing new, or `_end` is set."""
        answer, self._open = self._open, None
        try:
            if answer is None:
                self._asked = self._clock()
                answer = self._ask(self._address, self._settings.open_timeout)
            try:
                data = self._body(answer)
            finally:
                answer.close()
        except SourceError as error:
            self._end = End(str(error))
            return None
        except OSError as error:
            self._end = End(f"the connection was lost: {error.strerror or error}")
            return None
        if not data or data == self._before:
            return None
        self._before = data
        self._number += 1
        return _shot(data, True, self._clock(), self._number, self._decode)

    def _body(self, answer: Answer) -> bytes:
        kind = answer.headers.get("content-type", "").lower()
        if kind.startswith((*_WORDS, "multipart/")):
            raise SourceError(f"it answers with {kind.partition(';')[0]}, not with a picture")
        sized = "content-length" in answer.headers or "transfer-encoding" in answer.headers
        until = self._clock() + self._settings.read_timeout
        data = bytearray()
        while (left := until - self._clock()) > 0:
            piece = answer.read(left)
            data += piece or b""
            if piece == b"" or (not sized and data.endswith(b"\xff\xd9")):  # a server that keeps the line open
                return bytes(data)
            if len(data) > MOST_BYTES:
                raise SourceError(f"a picture of more than {MOST_BYTES >> 20} MB")
        raise SourceError(f"a picture that takes more than {self._settings.read_timeout:g} s to come")
