"""Verdicts that somebody waits for, as whoever triggered a part does: handed over once they are on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edge_runtime.store.entries import Event

__all__ = ["Awaited"]


class Awaited:
    """The parts of one station that somebody asks about, by number. Of others nothing is kept."""

    def __init__(self, stored: Callable[[int, float], bool] = lambda ticket, seconds: True) -> None:
        """`stored` waits, at most so many seconds, until what the writer gave that ticket for is on the disk."""
        self._stored = stored
        self._changed = threading.Condition()
        self._asked: dict[int, tuple[Event, int] | None] = {}

    def ask(self, number: int) -> None:
        """Remember that somebody wants to know; to be said before the part is judged."""
        with self._changed:
            self._asked.setdefault(number, None)

    def tell(self, number: int, event: Event, ticket: int) -> None:
        """A part was judged, and its event handed to the writer."""
        with self._changed:
            if number in self._asked:
                self._asked[number] = (event, ticket)
                self._changed.notify_all()

    def look(self, number: int) -> Event | None:
        """Return the verdict on a part that was asked about, if it is stored by now; it stays to be asked about."""
        with self._changed:
            found = self._asked.get(number)
        return found[0] if found is not None and self._stored(found[1], 0.0) else None

    def forget(self, number: int) -> None:
        """Nobody asks about a part any more."""
        with self._changed:
            self._asked.pop(number, None)

    def answer(self, number: int, seconds: float) -> Event | None:
        """Wait for the verdict on a part that was asked about, and forget it; None: it was not stored in time."""
        until = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._asked.get(number) is not None, seconds)
            found = self._asked.pop(number, None)
        if found is None or not self._stored(found[1], max(0.0, until - time.monotonic())):
            return None
        return found[0]
