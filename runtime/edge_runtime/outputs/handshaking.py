"""An output that tells results by a handshake, one by one. What waited too long is not told as if it were new."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from edge_runtime.errors import OutputError
from edge_runtime.files.boot import boot_id
from edge_runtime.outputs.handshake import Seen, Shown, Wires, shown_as, without_result
from edge_runtime.outputs.shaking_settings import Handshaking
from edge_runtime.store.entries import PartVerdict
from edge_runtime.store.reading import Stored

__all__ = ["HandshakeOutput"]

_SHORTEST_S = 0.05  # a result that nobody acknowledges stands so long, and so long there is none before the next


class HandshakeOutput:
    """An output (base.py). `alive` changes with each result: it stands still when no verdict is stored."""

    def __init__(self, wires: Wires, settings: Handshaking, clock: Callable[[], float] = time.monotonic) -> None:
        self._wires, self._settings, self._clock = wires, settings, clock
        self._shown = Shown()
        self._written = False
        self._pause = threading.Event().wait

    def delivered(self) -> str | None:
        """A controller does not know events."""
        return None

    def send(self, events: Sequence[Stored]) -> int:
        """Tell the first that is not too late. What is is passed over; if nothing is newer, it is told as NO_READ."""
        late = [self._age(event) > self._settings.result_within for event in events]
        chosen = next((number for number, is_late in enumerate(late) if not is_late), len(events) - 1)
        event = events[chosen]
        self._tell(cast("PartVerdict", "NO_READ" if late[chosen] else json.loads(event.body)["verdict"]), event)
        return chosen + 1

    def close(self) -> None:
        """Say nothing any more."""
        try:
            if self._written:
                self._wires.write(Shown(part=self._shown.part))
        except OutputError:
            pass  # who cannot be reached sees that alive stands still
        finally:
            self._wires.close()

    def _tell(self, verdict: PartVerdict, event: Stored) -> None:
        bit = self._settings.acknowledge == "bit"
        self._say(replace(without_result(self._shown), busy=False))
        if bit:
            self._until(lambda seen: not seen.acknowledged, "the controller holds acknowledged up")
        else:
            self._pause(_SHORTEST_S)
        if self._age(event) > self._settings.result_within:  # the controller took its time
            verdict = "NO_READ"
        self._say(shown_as(verdict, replace(self._shown, alive=not self._shown.alive, part=event.seq % 65536)))
        if not bit:
            self._pause(_SHORTEST_S)
            return
        try:
            self._until(lambda seen: seen.acknowledged, "the controller did not acknowledge a result")
        finally:
            self._say(without_result(self._shown))

    def _say(self, shown: Shown) -> None:
        self._shown = shown
        self._wires.write(shown)
        self._written = True

    def _until(self, there: Callable[[Seen], bool], what: str) -> None:
        """Look until the controller says something. Raises OutputError where it does not in time."""
        end = self._clock() + self._settings.acknowledge_within
        while not there(self._wires.read()):
            if self._clock() > end:
                raise OutputError(f"{what} within {self._settings.acknowledge_within:g} s")
            self._pause(self._settings.poll)

    def _age(self, event: Stored) -> float:
        """Seconds since the part was seen; for ever where that was before the machine was started."""
        clock = json.loads(event.body).get("clock", {})
        same = clock.get("boot") == boot_id() and "taken_s" in clock
        return self._clock() - float(clock["taken_s"]) if same else float("inf")
