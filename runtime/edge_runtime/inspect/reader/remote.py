"""A decoder in the reader's process, picture by picture."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_devices.process_memory import keeps_freed_memory
from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import DecoderFacts, DecoderSettings, DiedError, End, Shot
from edge_runtime.inspect.reader.life import Life
from edge_runtime.inspect.reader.messages import MessageError, receive
from edge_runtime.inspect.reader.slots import SLOTS, SlotReader

__all__ = ["RemoteDecoder", "take_and_free"]

# Pictures of a source in memory at a time: one is judged, the one before it let go of, one waits, one comes.
_IN_HAND = 4
_CHECKED = 32  # shots from one look at the process's memory to the next


class RemoteDecoder:
    """A decoder in the reader's process."""

    def __init__(
        self,
        life: Life,
        channel: socket.socket,
        settings: DecoderSettings,
        grace: float,
        check: Callable[[], None],
        planned: Callable[[int], object] = int,
    ) -> None:
        """Wait until it is open; `check` is called now and then, `planned` for each picture's pixels. SourceError."""
        self._life, self._channel, self._settings = life, channel, settings
        self._grace, self._check, self._planned = grace, check, planned
        self._read = self._reserved = 0
        self._in_order = settings.way == "file"
        self._slots = [SlotReader() for _ in range(SLOTS)]
        self._asked = False
        self._since = time.monotonic()
        self._end: End | None = None
        try:
            answer = self._receive(None, settings.open_timeout + grace)
            if isinstance(answer, dict) and isinstance(answer.get("error"), str):
                raise SourceError(answer["error"])
            if isinstance(answer, End):
                raise DiedError(answer.reason or "")
            if not isinstance(answer, dict) or "facts" not in answer:
                raise SourceError("no answer")
            self.facts = DecoderFacts(**answer["facts"])
        except BaseException:
            self.close()
            raise

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next shot, the End again and again after the last, None when nothing came in time."""
        if self._end is not None:
            return self._end
        if not self._asked:
            self._ask()
        answer = self._receive(timeout, self._settings.read_timeout + self._grace)
        if answer is None:
            return None
        self._asked = False
        told = answer if isinstance(answer, End) else self._told(answer)
        if told is None:  # it is there, and has nothing
            return None
        if isinstance(told, End):
            self._end = told
            self.close()
        elif self._in_order:  # the next one may be made ready
            self._ask()
        return told

    def close(self) -> None:
        """Let the decoder there end."""
        self._end = self._end or End()
        with contextlib.suppress(OSError):  # wakes who reads from it
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()
        for slot in self._slots:
            slot.close()

    def _ask(self) -> None:
        self._asked, self._since = True, time.monotonic()
        with contextlib.suppress(OSError):  # found out when the answer is waited for
            self._channel.send(b"\1")

    def _receive(self, timeout: float | None, hangs_after: float) -> dict[str, Any] | End | None:
        """The next message, or how the process ended; it is killed when it has not answered for too long."""
        if self._in_order:
            self._since = time.monotonic()  # asked in advance
        left = hangs_after - (time.monotonic() - self._since)
        self._channel.settimeout(max(0.001, left if timeout is None else min(timeout, left)))
        try:
            first = self._channel.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            if time.monotonic() - self._since < hangs_after:
                return None
            self._life.kill(f"hung: no answer for {hangs_after:g} s")
            return self._died()
        except OSError:
            first = b""
        self._channel.settimeout(self._grace)
        try:
            got = receive(self._channel) if first else None
        except MessageError as error:
            self._life.kill(f"said what is no message: {error}")
            got = None
        if got is None:
            return self._died()
        message, descriptor = got
        if descriptor is not None:
            self._renew(message, descriptor)
        return message

    def _renew(self, message: dict[str, Any], descriptor: int) -> None:
        slot = message["shot"].get("slot") if isinstance(message.get("shot"), dict) else None
        if isinstance(slot, int) and 0 <= slot < SLOTS:
            self._slots[slot].renew(descriptor)
        else:
            os.close(descriptor)

    def _died(self) -> End:
        if self._end is not None:  # closed meanwhile
            return self._end
        return End(f"the process that reads it {self._life.fate()}", died=True)

    def _told(self, message: dict[str, Any]) -> Shot | End | None:
        """What a message says; the process is not to be trusted any more when that cannot be."""
        if "nothing" in message:
            return None
        try:
            if "shot" not in message:
                return End(message["end"])
            told = dict(message["shot"])
            slot, height, width = told.pop("slot", None), told.pop("height", 0), told.pop("width", 0)
            image = None if slot is None else np.array(self._slots[slot].view(height, width))
            if image is not None:
                self._reserve(image.nbytes)
                self._planned(height * width)
            self._read += 1
            if not self._read % _CHECKED:
                self._check()
            return Shot(image=image, **told)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            self._life.kill(f"said what cannot be: {error}")
            return self._died()

    def _reserve(self, size: int) -> None:
        """Take what all pictures in hand need, in the thread that takes them, where freed memory is kept.

        Perhaps two threads meet in the one way that needs it all after hours; memory is to grow in seconds, if at all.
        """
        if size > self._reserved and keeps_freed_memory():
            self._reserved = size
            take_and_free(size)


def take_and_free(size: int) -> None:
    """Take memory for as many pictures as are in hand, touch it, and free it."""
    for picture in [np.empty(size, np.uint8) for _ in range(_IN_HAND)]:
        picture.fill(0)
