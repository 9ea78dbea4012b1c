"""The thread of one output: it takes events from its queue in the store, and never makes a verdict wait."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence

from edge_runtime.errors import OutputError
from edge_runtime.outputs.base import ElsewhereError, Output
from edge_runtime.outputs.open import Wanted
from edge_runtime.store.reading import Reader, Stored
from edge_runtime.store.writer import Writer

__all__ = ["Feeder"]

_LOOK_S = 0.5  # how often an output that has nothing to tell looks whether it should end
_RETRY_S = (0.5, 30.0)  # the first wait after a refusal, doubled up to the last


class Feeder:
    """Tells an output of every event of its stations, once by its id and in order, from where it stood."""

    def __init__(
        self, wanted: Wanted, output: Output, reader: Reader, writer: Writer, sent: int, notice: Callable[[str], None]
    ) -> None:
        """`sent`: the entry up to which the store knows that all is told. `output` and `reader` are closed by `close`.

        Raises OutputError where the output cannot ever be told anything.
        """
        self.name, self.stations = wanted.name, wanted.stations
        self._output, self._reader, self._writer, self._notice = output, reader, writer, notice
        self.sent = _stands(output, reader, sent)
        self.refused = ""  # why the last try failed; "" where it did not
        self._draining = self._ending = self._finished = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"edgeline-tell {wanted.name}", daemon=True)
        self._thread.start()

    def drain(self, patience: float) -> bool:
        """Tell what is committed, as long as the output takes some every `patience` seconds; False: some is left.

        That stays in the store, for the next start.
        """
        self._draining = True
        told, since = self.sent, time.monotonic()
        while self._thread.is_alive() and time.monotonic() - since < patience:
            self._thread.join(0.05)
            if self.sent != told:
                told, since = self.sent, time.monotonic()
        self._ending = True
        self._wake.set()
        self._thread.join(patience)
        return self._finished

    def close(self) -> None:
        """End, after what is being told."""
        self._ending = True
        self._wake.set()
        self._thread.join()
        with contextlib.closing(self._reader):
            self._output.close()

    def _work(self) -> None:
        looked = 0
        wait, most = _RETRY_S
        while not self._ending:
            head, draining = self._writer.head.seq, self._draining
            try:
                events = self._reader.after(self.sent, self.stations) if head > looked else []
                told = self._tell(events) if events else 0
            except Exception as error:  # noqa: BLE001  # whatever it is: it is told, and tried again
                self._refuse(str(error) if isinstance(error, OutputError) else f"{type(error).__name__}: {error}")
                self._wake.wait(wait)
                wait = min(2 * wait, most)
                continue
            if not events:
                looked = head
                if draining and head == self._writer.head.seq:
                    self._finished = True
                    return
                self._writer.committed(looked, _LOOK_S)
                continue
            if self.refused:
                self.refused = ""
                self._notice(f"{self.name}: told again")
            wait = _RETRY_S[0]
            if told:
                self.sent = events[told - 1].seq
                self._writer.sent(self.name, self.sent)

    def _tell(self, events: Sequence[Stored]) -> int:
        try:
            return self._output.send(events)
        except ElsewhereError as error:
            self.sent = self._known(error.last)
            self._writer.sent(self.name, self.sent)
            return 0

    def _known(self, last: Sequence[str]) -> int:
        """Return up to where all is told, when those are the last events of their stations that the receiver has."""
        told: dict[str, int] = {}
        for event in filter(None, map(self._reader.event, last)):
            station = _station(event)
            told[station] = max(event.seq, told.get(station, 0))
        sent = self.sent
        while events := self._reader.after(sent, self.stations):
            for event in events:
                if event.seq > told.get(_station(event), 0):
                    return sent
                sent = event.seq
        return sent

    def _refuse(self, why: str) -> None:
        if not self.refused:
            self._notice(f"{self.name}: cannot be told, verdicts wait in the store: {why}")
        self.refused = why


def _station(event: Stored) -> str:
    return str(json.loads(event.body)["station"])


def _stands(output: Output, reader: Reader, sent: int) -> int:
    """Where an output stands: at the event that the receiver names, if the store has it, else where the store says."""
    last = output.delivered()
    event = None if last is None else reader.event(last)
    return sent if event is None else event.seq
