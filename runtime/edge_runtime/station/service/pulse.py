"""Whether verdicts go on, or would if a part came: what the watchdog hangs on.

Nothing is expected of a station that waits for its trigger. What is expected, each within `patience`:

    a frame that was handed to the engine comes back as a verdict
    a verdict that was handed to the store is committed; one that the disk refuses is tried again, which is no stand
    a camera or stream gives a frame, or says that it has none (it says so every 10 s at least, for as long as it lasts)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from edge_runtime.inspect.sources.base import Frame, Source, WrappedSource
from edge_runtime.store.writer import Writer

__all__ = ["PATIENCE_S", "Pulse"]

PATIENCE_S = 45.0


class Pulse:
    """For any thread."""

    def __init__(self, patience: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        self._lock = threading.Lock()
        self._handed: dict[str, float] = {}  # since when a station's frame is with the engine
        self._heard: dict[str, float] = {}  # when a station's live source last gave something
        self._head = (-1, 0.0)

    def beneath(self, name: str, source: Source) -> Source:
        """Put what listens to a station's source around it, beneath its trigger."""
        return _Listening(source, lambda: self._hear(name), lambda: self._ended(name)) if _is_live(source) else source

    def above(self, name: str, source: Source) -> Source:
        """Put what sees frames go to the engine around a station's source, above its trigger."""
        return _Listening(source, lambda: self._hand(name), lambda: None)

    def told(self, name: str) -> None:
        """A frame of a station has come back from the engine."""
        with self._lock:
            self._handed.pop(name, None)

    def stuck(self, writer: Writer) -> str:
        """Return what has come to a stand, "" where nothing has."""
        now, waiting, head = self._clock(), writer.waiting, writer.head.seq
        with self._lock:
            if head != self._head[0] or not waiting.entries or waiting.since is not None:
                self._head = (head, now)
            elif now - self._head[1] > self._patience:
                return f"verdicts wait in memory for {now - self._head[1]:.0f} s, and no commit comes back"
            for name, since in self._handed.items():
                if now - since > self._patience:
                    return f"a frame of {name} is with the engine for {now - since:.0f} s"
            for name, since in self._heard.items():
                if now - since > self._patience:
                    return f"the source of {name} says nothing for {now - since:.0f} s"
        return ""

    def _hand(self, name: str) -> None:
        with self._lock:
            self._handed.setdefault(name, self._clock())

    def _hear(self, name: str) -> None:
        with self._lock:
            self._heard[name] = self._clock()

    def _ended(self, name: str) -> None:
        with self._lock:
            self._heard.pop(name, None)


class _Listening(WrappedSource):
    def __init__(self, source: Source, heard: Callable[[], None], ended: Callable[[], None]) -> None:
        super().__init__(source)
        self._one, self._end = heard, ended

    def __iter__(self) -> Iterator[Frame]:
        try:
            for frame in self._source:
                self._one()
                yield frame
        finally:
            self._end()


def _is_live(source: Source) -> bool:
    return source.kind == "live"
