"""Parts that a controller announces by a handshake, which tells it their results too."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from edge_runtime.errors import OutputError
from edge_runtime.outputs.handshake import Handshake, Seen, Wires
from edge_runtime.outputs.shaking_settings import Handshaking
from edge_runtime.station.triggers.matching import Signal
from edge_runtime.station.triggers.signalled import Signals
from edge_runtime.store.entries import PartVerdict

__all__ = ["HandshakeListener", "shaking"]

S = TypeVar("S", bound=Handshaking)
_AGAIN_S = 0.5  # to the next try to reach the controller
_END_S = 1.5  # what is left for a result when the station ends: less than a run waits for a source (guard.PATIENCE)
_ENDING_POLL_S = 0.02


def shaking(settings: S, open_wires: Callable[[S], Wires]) -> Callable[[Signals], HandshakeListener]:
    """Return what begins to listen to a controller. Raises DependencyError where a library is not installed."""
    wires = open_wires(settings)
    return lambda signals: HandshakeListener(signals, wires, settings)


class HandshakeListener:
    """A listener (signalled.py): one thread, that looks at the controller's bits, again and again."""

    def __init__(self, signals: Signals, wires: Wires, settings: Handshaking) -> None:
        self._signals, self._wires, self._settings = signals, wires, settings
        self._line = signals.line
        self._handshake = Handshake(settings.result_within, settings.heartbeat, settings.acknowledge)
        self._current: Signal | None = None  # the part that is looked at
        self._owed: int | None = None  # a part whose verdict did not come in time: verdicts do not come
        self._lost: str | None = None
        self._closed = threading.Event()
        self._until = 0.0
        self._thread = threading.Thread(target=self._work, name=f"edgeline-handshake {self._line.station}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell the result that is owed, if it comes, and take everything down that was said."""
        self._until = time.monotonic() + _END_S
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(OutputError):
            if self._lost is None:
                self._wires.write(self._handshake.over())
        self._wires.close()

    def _work(self) -> None:
        while not self._finished():
            try:
                self._look(self._wires.read())
            except Exception as error:  # noqa: BLE001  # whatever it is: it is told, and tried again
                self._lose(str(error) if isinstance(error, OutputError) else f"{type(error).__name__}: {error}")
                self._pause(_AGAIN_S)
                continue
            if self._lost is not None:
                self._lost = None
                self._line.say(f"{self._line.station}: the controller is there again")
            self._pause(self._settings.poll)

    def _finished(self) -> bool:
        if not self._closed.is_set():
            return False
        return self._lost is not None or not self._handshake.owing or time.monotonic() > self._until

    def _pause(self, seconds: float) -> None:
        if self._closed.is_set():
            time.sleep(min(seconds, _ENDING_POLL_S))
        else:
            self._closed.wait(seconds)

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._line.say(f"{self._line.station}: no handshake with the controller: {why}")
        self._lost = why
        self._handshake.begin()

    def _look(self, seen: Seen) -> None:
        step = self._handshake.step(seen, time.monotonic(), self._verdict(), self._well())
        if step.announce:
            self._forget()
            self._current = self._signals.announce(seen.part, seen.at, asked=True)
        if step.unread:
            self._line.say(f"{self._line.station}: triggered while nobody looked, the controller was told NO_READ")
        if step.late and self._current is not None:
            self._owed = self._current.number
            self._line.say(f"{self._line.station}: a verdict came too late, the controller was told NO_READ")
        self._wires.write(step.shown)

    def _verdict(self) -> PartVerdict | None:
        """That on the part that is looked at, once it is stored; NO_READ for one that is not taken any more."""
        if self._current is None or not self._handshake.waiting:
            return None
        if self._current.refused:
            return "NO_READ"
        event = self._line.awaited.look(self._current.number)
        if event is None:
            return None
        if self._owed is not None:  # a newer part has its own
            self._line.awaited.forget(self._owed)
            self._owed = None
        return event.verdict

    def _well(self) -> bool:
        """Whether verdicts come: a part that is owed one is waited for."""
        if self._owed is not None and self._line.awaited.look(self._owed) is not None:
            self._line.awaited.forget(self._owed)
            self._owed = None
        return self._owed is None and not self._closed.is_set()

    def _forget(self) -> None:
        if self._current is not None and self._current.number != self._owed:
            self._line.awaited.forget(self._current.number)
        self._current = None
