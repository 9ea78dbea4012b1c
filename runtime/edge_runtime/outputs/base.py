"""What an output is: it is given the next events of its queue, in order, and says how many it has told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from edge_runtime.errors import OutputError
from edge_runtime.store.reading import Stored

__all__ = ["ElsewhereError", "FakeOutput", "Output", "published"]

# What a reader looks for first; the rest of a record comes in the order of its keys.
_FIRST = ("schema", "event_id", "ts_utc", "station", "part", "verdict", "reasons")


class ElsewhereError(OutputError):
    """The receiver may have been told more than the store knows: it names the last event of each station."""

    def __init__(self, last: Sequence[str]) -> None:
        self.last = tuple(last)  # event ids; those that the store has not are not its events
        super().__init__("the receiver knows of more")


class Output(Protocol):
    """Somebody who is told. For one thread."""

    def delivered(self) -> str | None:
        """Return the id of the last event that was told, as the receiver knows it; None: it cannot say.

        Asked once, at the start; what the store says counts where it is None, or an event that the store has not.
        Raises OutputError where nothing can be told, now and later, without a hand.
        """
        ...

    def send(self, events: Sequence[Stored]) -> int:
        """Tell them in order, and return how many of them are surely told, from the first on.

        Raises OutputError where none can be told now; they come again, the same ones first. Raises ElsewhereError,
        once for each connection, where the receiver may know of events that the store thinks are not told.
        """
        ...

    def close(self) -> None:
        """Finish; a second call does nothing."""
        ...


def published(event: Stored) -> dict[str, Any]:
    """Return an event as everybody is told of it: its record, and its place in the store's chain."""
    body = json.loads(event.body)
    return {**{name: body[name] for name in _FIRST if name in body}, **body, "seq": event.seq, "hash": event.hash}


class FakeOutput:
    """A complete output that remembers event ids; it refuses as many calls as it is told to."""

    def __init__(self, refusals: int = 0, last: str | None = None, most: int = 3) -> None:
        self.told: list[str] = []
        self.refusals, self._last, self._most = refusals, last, most
        self.closed = False

    def delivered(self) -> str | None:
        """Return what it was made with."""
        return self._last

    def send(self, events: Sequence[Stored]) -> int:
        """Remember at most `most` of them."""
        if self.refusals:
            self.refusals -= 1
            raise OutputError("nobody listens")
        taken = events[: self._most]
        self.told += [event.event_id for event in taken]
        return len(taken)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
