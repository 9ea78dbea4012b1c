"""What is written into a store: one entry after another, never changed. Plain data.

An *event* is the verdict on one part, a *picture* says which file holds what was seen, a *note* what befell the store
or the station. Their order is the order in which they were committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, Union, cast

__all__ = ["VERDICTS", "Batch", "Body", "Entry", "Event", "Kept", "Kind", "Note", "PartVerdict", "body_of", "kind_of"]

PartVerdict = Literal["OK", "WARN", "NG", "NO_READ"]
VERDICTS: tuple[PartVerdict, ...] = ("OK", "WARN", "NG", "NO_READ")
Kind = Literal["event", "picture", "note"]
Body: TypeAlias = Mapping[str, Any]  # a JSON object of plain values


@dataclass(frozen=True)
class Event:
    """A verdict. `body` is all of it, as it is chained and published; the other fields are what it is found by.

    `event_id` sorts by the time the part was seen (UUID version 7). `part` None: the station names no parts.
    """

    event_id: str
    station: str
    verdict: PartVerdict
    part: str | None
    body: Body

    @staticmethod
    def of(body: Body) -> Event:
        """Take the fields from a record. Raises ValueError for one that lacks them."""
        found = [body.get(name) for name in ("event_id", "station", "part")]
        event_id, station, part = (None if value is None else str(value) for value in found)
        verdict = body.get("verdict")
        if not event_id or not station or verdict not in VERDICTS:
            raise ValueError(f"a record needs event_id, station and a verdict of {', '.join(VERDICTS)}: {body!r:.200}")
        return Event(event_id, station, cast("PartVerdict", verdict), part, body)


@dataclass(frozen=True)
class Kept:
    """A picture that is on disk: `place` within the store's folder of pictures, `digest` its file's SHA-256."""

    event_id: str
    station: str
    verdict: PartVerdict
    place: str
    size: int  # bytes
    digest: str
    day: str  # UTC, of the writing: 2026-01-31


@dataclass(frozen=True)
class Note:
    """What happened that is no verdict: "start", "stop", "set aside", "trimmed", ... `facts` are plain JSON values."""

    what: str
    facts: Body = field(default_factory=dict)


Entry: TypeAlias = Union[Event, Kept, Note]


@dataclass(frozen=True)
class Batch:
    """What is committed together: entries in order, how far each output has sent, whose pictures were removed.

    `trim`: entries up to this number are taken out, which one of the entries says (a Note "trimmed").
    """

    entries: tuple[Entry, ...] = ()
    sent: Mapping[str, int] = field(default_factory=dict)
    removed: tuple[str, ...] = ()  # event ids
    trim: int = 0

    def __bool__(self) -> bool:
        return bool(self.entries or self.sent or self.removed)


def kind_of(entry: Entry) -> Kind:
    """Return by which name an entry is chained."""
    if isinstance(entry, Event):
        return "event"
    return "picture" if isinstance(entry, Kept) else "note"


def body_of(entry: Entry) -> Body:
    """Return the JSON object that stands for an entry in the chain."""
    if isinstance(entry, Event):
        return entry.body
    if isinstance(entry, Note):
        return {"what": entry.what, **entry.facts}
    return {"event_id": entry.event_id, "place": entry.place, "size": entry.size, "sha256": entry.digest}
