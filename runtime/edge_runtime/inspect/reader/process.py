"""The reader: one process beside the inspecting one, in which all videos, streams and cameras of a run are decoded.

A codec that hangs, crashes or leaks takes that process with it and not this one: each source is told of an End that
`died`, opens its decoder again, and the process is started anew for the first that does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge_devices.interpreter import python_environment, python_module
from edge_devices.process_memory import Share, share_of
from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import Decoder, DecoderFacts, DecoderSettings, End, Shot
from edge_runtime.inspect.reader.decoders import open_decoder
from edge_runtime.inspect.reader.messages import MessageError, receive, send
from edge_runtime.inspect.reader.slots import SLOTS, SlotReader

__all__ = ["HERE", "InProcess", "Reader", "ReaderProcess"]

# One thread for numpy, which does nothing here. OpenCV: warnings of FFmpeg too, on stderr, where log.py hears them.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENCV_FFMPEG_LOGLEVEL": "24"}
# Beyond a decoder's own time limits: then it hangs.
_GRACE = 15.0
_LEAK_BYTES = 2 << 30
_CHECKED = 32  # shots from one look at the process's memory to the next


class Reader(Protocol):
    """Opens decoders."""

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open a video, stream or camera. Raises SourceError, in words that follow a colon."""
        ...

    def close(self) -> None:
        """End what is open."""
        ...


class InProcess:
    """A reader in this very process: for tests, and for systems without what the other one needs."""

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open the decoder."""
        return open_decoder(settings)

    def close(self) -> None:
        """Nothing is kept."""


HERE = InProcess()


class ReaderProcess:
    """The process, started when it is first needed, or before that by `start`. For many threads."""

    def __init__(self, grace: float = _GRACE) -> None:
        self._grace = grace
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._closed = False
        self._peak = 0
        # What it may take: beyond that something leaks, or a stream has grown.
        self.most_bytes = _LEAK_BYTES

    def start(self) -> None:
        """Start the process, so that it loads what it needs while others do something else."""
        with self._lock:
            self._running()

    def open(self, settings: DecoderSettings) -> Decoder:
        """Open a decoder there. Raises SourceError."""
        with self._lock:
            child = self._running()
            channel = child.ask(dataclasses.asdict(settings))
        return _RemoteDecoder(child, channel, settings, self._grace, self._check)

    @property
    def pid(self) -> int | None:
        """The process, None where none runs."""
        child = self._child
        return None if child is None or child.dead else child.pid

    def memory(self) -> Share:
        """Return what it takes beside the inspecting process, and the most that it has taken; 0 where none runs."""
        child = self._child
        share = None if child is None or child.dead else share_of(child.pid)
        if share is not None:
            self._peak = max(self._peak, share.peak)
        return Share(0 if share is None else share.now, self._peak)

    def _check(self) -> None:
        """End a process that takes too much."""
        child, now = self._child, self.memory().now
        if child is not None and now > self.most_bytes:
            child.kill(f"was ended: it took {now >> 20} MB of memory, of {self.most_bytes >> 20} MB that it may take")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.end()

    def _running(self) -> _Child:
        if self._closed:
            raise SourceError("the reader has been closed")
        if self._child is not None and self._child.dead:
            self._child.end()
            self._child = None
        if self._child is None:
            self._child = _Child()
        return self._child


class _Child:
    """One life of the process."""

    def __init__(self) -> None:
        """Raises SourceError when no process can be started."""
        ours, theirs = socket.socketpair()
        # The kernel ends a child with the *thread* that started it, so only the main thread asks for that.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        words = python_module("edge_runtime.inspect.reader.child", str(theirs.fileno()), str(parent))
        environment = {**python_environment(), **_ENVIRONMENT}
        with theirs:
            try:
                # A session of its own: what Ctrl-C means is decided here.
                self._process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise SourceError(f"cannot start the process that reads videos: {error.strerror}") from error
        self._control = ours
        self.pid = self._process.pid
        self._killed = ""

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return bool(self._killed) or self._process.poll() is not None

    def ask(self, message: dict[str, Any]) -> socket.socket:
        """Ask for a decoder; what becomes of it is said on the socket that is returned."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.suppress(OSError):  # whoever reads the other one finds that it is gone
            send(self._control, message, theirs.fileno())
        return ours

    def kill(self, why: str) -> None:
        """End it at once: all its decoders end with this reason."""
        self._killed = self._killed or why
        self._process.kill()

    def fate(self) -> str:
        """Why it ended; waits for that."""
        try:
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.kill("closed its side")
            code = self._process.wait()
        if self._killed:
            return self._killed
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"died of {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def end(self) -> None:
        """End it, and wait for that."""
        self._control.close()
        self.kill("closed")
        self._process.wait()


class _RemoteDecoder:
    """A decoder in the reader's process."""

    def __init__(
        self,
        child: _Child,
        channel: socket.socket,
        settings: DecoderSettings,
        grace: float,
        check: Callable[[], None],
    ) -> None:
        """Wait until it is open; `check` is called now and then. Raises SourceError."""
        self._child, self._channel, self._settings = child, channel, settings
        self._grace, self._check = grace, check
        self._read = 0
        self._in_order = settings.way == "file"
        self._slots = [SlotReader() for _ in range(SLOTS)]
        self._asked = False
        self._since = time.monotonic()
        self._end: End | None = None
        try:
            answer = self._receive(None, settings.open_timeout + grace)
            if isinstance(answer, dict) and isinstance(answer.get("error"), str):
                raise SourceError(answer["error"])
            if not isinstance(answer, dict) or "facts" not in answer:
                raise SourceError(answer.reason or "" if isinstance(answer, End) else "no answer")
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
            self._child.kill(f"hung: no answer for {hangs_after:g} s")
            return self._died()
        except OSError:
            first = b""
        self._channel.settimeout(self._grace)
        try:
            got = receive(self._channel) if first else None
        except MessageError as error:
            self._child.kill(f"said what is no message: {error}")
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
        return End(f"the process that reads it {self._child.fate()}", died=True)

    def _told(self, message: dict[str, Any]) -> Shot | End | None:
        """What a message says; the process is not to be trusted any more when that cannot be."""
        if "nothing" in message:
            return None
        try:
            if "shot" not in message:
                return End(message["end"])
            told = dict(message["shot"])
            slot, height, width = told.pop("slot", None), told.pop("height", 0), told.pop("width", 0)
            image = None if slot is None else self._slots[slot].copy(height, width)
            self._read += 1
            if not self._read % _CHECKED:
                self._check()
            return Shot(image=image, **told)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            self._child.kill(f"said what cannot be: {error}")
            return self._died()
