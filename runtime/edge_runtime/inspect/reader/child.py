"""The reader's process: `python -m edge_runtime.inspect.reader.child SOCKET`, one thread for each open source.

It decodes and does nothing else: no engine, no models. It ends with the process that started it.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import os
import signal
import socket
import sys
import threading
from queue import SimpleQueue
from typing import Any

from edge_devices.process_memory import keep_freed_memory
from edge_runtime.errors import EdgelineError
from edge_runtime.inspect.reader import log
from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings, End, Shot
from edge_runtime.inspect.reader.decoders import open_decoder, warm_up
from edge_runtime.inspect.reader.messages import receive, send
from edge_runtime.inspect.reader.size_limit import SizeLimit
from edge_runtime.inspect.reader.slots import SLOTS, SlotWriter

__all__ = ["main", "serve"]

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Serve the socket whose descriptor is the first argument; the second is the process to end with, or 0."""
    descriptor, parent = int(arguments[0]), int(arguments[1])
    if parent and sys.platform == "linux":
        # The kernel's word, for a decoder that hangs and holds the interpreter: the socket's end would not be seen.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
    log.capture()
    with socket.socket(fileno=descriptor) as control:
        serve(control)
    os._exit(0)  # whatever a decoder's thread hangs in


def serve(control: socket.socket) -> None:
    """Open what is asked for, each in a thread of its own, until the other side is gone."""
    warm_up()
    while (got := receive(control)) is not None:
        message, descriptor = got
        if descriptor is None:
            continue
        apart: SimpleQueue[bool] = SimpleQueue()
        channel = socket.socket(fileno=descriptor)
        threading.Thread(target=_serve_source, args=(message, channel, apart), daemon=True).start()
        if apart.get():
            os.close(descriptor)  # the thread has its own


def _serve_source(message: dict[str, Any], channel: socket.socket, apart: SimpleQueue[bool]) -> None:
    apart.put(log.own_log(channel.fileno()))
    with channel:
        try:
            settings = DecoderSettings(**message)
            if settings.most_pixels is None:  # no memory limit: pictures come for months in buffers of one size
                keep_freed_memory()
            decoder = open_decoder(settings)
        except EdgelineError as error:
            _say(channel, {"error": str(error)})
            return
        try:
            if _say(channel, {"facts": dataclasses.asdict(decoder.facts)}):
                _Outlet(decoder, channel, settings).run()
        finally:
            decoder.close()


def _say(channel: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> bool:
    """Whether the other side is still there."""
    try:
        send(channel, message, descriptor)
    except OSError:
        return False
    return True


# What is told of a shot beside its picture.
TOLD = ("error", "pts", "arrived", "number", "whole", "interlaced", "decode_ms")


@dataclasses.dataclass(frozen=True, eq=False)
class _Ready:
    """A message, and the slot that its picture is in."""

    message: dict[str, Any]
    slot: SlotWriter | None = None


class _Outlet:
    """Between a decoder, which fills slots, and the channel, where each byte that comes asks for one shot.

    A byte also says that the shot before has been taken. Of a live source's pictures the newest is kept; errors wait
    until they were taken. A file's decoder waits for a free slot (`patience` None). A live one that is well and has
    had nothing for `patience` seconds says so, or it would be taken to hang.
    """

    def __init__(self, decoder: Decoder, channel: socket.socket, settings: DecoderSettings) -> None:
        self._decoder, self._channel = decoder, channel
        self._in_order = settings.way == "file"
        self._patience = None if self._in_order else settings.read_timeout
        self._size = SizeLimit(settings.most_pixels)
        self._changed = threading.Condition()
        self._slots = [SlotWriter() for _ in range(SLOTS)]
        self._free = list(self._slots)
        self._ready: list[_Ready] = []
        self._dropped = 0
        self._gone = False

    def run(self) -> None:
        """Until the other side is gone, or has been told of the end."""
        answering = threading.Thread(target=self._answer, daemon=True)
        answering.start()
        while not self._gone:
            try:
                shot = self._decoder.read(self._patience)
            except Exception as error:  # noqa: BLE001 (a decoder's fault costs this source a reconnect, and is said)
                shot = End(f"the decoder failed: {type(error).__name__}: {error}"[:500])
            if isinstance(shot, End):
                self._put(_Ready({"end": shot.reason}))
                break
            if shot is not None:
                self._put_shot(shot)
            elif not self._ready:
                self._put(_Ready({"nothing": True}))
        answering.join()
        for slot in self._slots:
            slot.close()

    def _put_shot(self, shot: Shot) -> None:
        told: dict[str, Any] = {name: getattr(shot, name) for name in TOLD}
        too_large = self._size.see(*(shot.image.shape or ())[:2]) if shot.image is not None else None
        told["error"] = told["error"] or too_large
        slot = self._empty() if shot.image is not None and too_large is None else None
        if slot is not None and shot.image is not None:
            try:
                slot.write(shot.image)
                told["slot"] = self._slots.index(slot)
                told["height"], told["width"] = (shot.image.shape or ())[:2]
            except OSError as error:
                what = "more than a file may have (ulimit -f)" if error.errno == errno.EFBIG else error.strerror
                told["error"] = f"no memory for a picture of {shot.image.nbytes} bytes: {what}"
                self._give_back(slot)
                slot = None
        self._put(_Ready({"shot": told}, slot))

    def _put(self, ready: _Ready) -> None:
        with self._changed:
            if ready.slot is None:  # as many errors as there are slots wait
                self._changed.wait_for(lambda: self._gone or len(self._ready) < SLOTS)
            self._ready.append(ready)
            self._changed.notify_all()

    def _empty(self) -> SlotWriter | None:
        """A slot to be filled; of a live source, when none is free, the newest picture's. None: nobody is there."""
        with self._changed:
            while not self._gone:
                if self._free:
                    return self._free.pop()
                newest = None if self._in_order else next((one for one in reversed(self._ready) if one.slot), None)
                if newest is not None:
                    self._ready.remove(newest)
                    self._dropped += 1
                    return newest.slot
                self._changed.wait()
            return None

    def _give_back(self, slot: SlotWriter | None) -> None:
        if slot is not None:
            with self._changed:
                self._free.append(slot)
                self._changed.notify_all()

    def _answer(self) -> None:
        taken: SlotWriter | None = None
        try:
            while self._channel.recv(1):
                self._give_back(taken)
                ready = self._next()
                taken = ready.slot
                send(self._channel, ready.message, taken.fresh if taken is not None else None)
                if taken is not None:
                    taken.sent()
        except OSError:
            pass
        finally:
            with self._changed:
                self._gone = True
                self._changed.notify_all()

    def _next(self) -> _Ready:
        """What comes next; of a live source's pictures in a row the newest one."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            while not self._in_order and len(self._ready) > 1 and self._ready[0].slot and self._ready[1].slot:
                old = self._ready.pop(0)
                self._dropped += 1
                self._free.append(old.slot)  # type: ignore[arg-type]
            ready = self._ready.pop(0)
            if "shot" in ready.message:
                ready.message["shot"]["dropped"], self._dropped = self._dropped, 0
            self._changed.notify_all()
            return ready


if __name__ == "__main__":
    main(sys.argv[1:])
