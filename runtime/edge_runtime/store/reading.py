"""Reading a store, while it is written or not: events in order, by id, by what somebody asks for."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from edge_runtime.errors import StoreError
from edge_runtime.store.chain import START, Anchor, Link
from edge_runtime.store.entries import Kept, Kind, PartVerdict
from edge_runtime.store.folder import Folder
from edge_runtime.store.ledger import head_of, keep_little
from edge_runtime.store.migrations import MIGRATIONS, version_of

__all__ = ["Asked", "Queue", "Reader", "Stored", "known_events", "open_reader", "store_reader"]

_AT_ONCE = 500
_FEW = 20
_KEPT = "SELECT event_id, station, verdict, place, size, digest, day FROM pictures"


@dataclass(frozen=True)
class Stored:
    """A committed event: its number and hash in the chain, and its record as it was written, canonical JSON."""

    seq: int
    event_id: str
    hash: str
    body: str


@dataclass(frozen=True)
class Asked:
    """Which events somebody wants; "" and (): all. `since` and `until` are event ids, which begin with their time."""

    since: str = ""
    until: str = ""
    stations: tuple[str, ...] = ()
    verdicts: tuple[PartVerdict, ...] = ()
    part: str = ""
    newest: int | None = None  # only so many, the last ones


@dataclass(frozen=True)
class Queue:
    """An output's queue: up to which entry it has sent the events of its stations."""

    name: str
    sent: int
    stations: tuple[str, ...]


class Reader:
    """Reads committed entries. For one thread; others open their own."""

    def __init__(self, folder: Folder, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection

    def close(self) -> None:
        """Close it; a second call does nothing."""
        self._connection.close()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment, whatever is committed or taken out meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def after(self, seq: int, stations: Sequence[str], most: int = _AT_ONCE) -> list[Stored]:
        """Return the next events behind entry `seq` of some stations, in order."""
        marks = ",".join("?" * len(stations))
        rows = self._connection.execute(
            "SELECT seq, event_id, hash, body FROM entries "
            f"WHERE seq > ? AND kind = 'event' AND station IN ({marks}) ORDER BY seq LIMIT ?",
            (seq, *stations, most),
        )
        return [Stored(*row) for row in rows.fetchall()]

    def waiting(self, seq: int, stations: Sequence[str]) -> int:
        """Return how many events of some stations stand behind entry `seq`."""
        marks = ",".join("?" * len(stations))
        text = f"SELECT count(*) FROM entries WHERE seq > ? AND kind = 'event' AND station IN ({marks})"
        return int(self._connection.execute(text, (seq, *stations)).fetchone()[0])

    def event(self, event_id: str) -> Stored | None:
        """Return one event."""
        text = "SELECT seq, event_id, hash, body FROM entries WHERE event_id = ?"
        row = self._connection.execute(text, (event_id,)).fetchone()
        return None if row is None else Stored(*row)

    def picture(self, event_id: str) -> Kept | None:
        """Return the picture of an event, where it is kept."""
        row = self._connection.execute(f"{_KEPT} WHERE event_id = ?", (event_id,)).fetchone()
        return None if row is None else Kept(*row)

    def pictures(self) -> Iterator[Kept]:
        """Every picture that is kept, oldest first."""
        return (Kept(*row) for row in self._connection.execute(f"{_KEPT} ORDER BY event_id"))

    def pictures_of(self, verdict: PartVerdict) -> Iterator[Kept]:
        """The pictures of a verdict that are kept, oldest first; none is looked up before it is asked for."""
        last = ""
        text = f"{_KEPT} WHERE verdict = ? AND event_id > ? ORDER BY event_id LIMIT ?"
        while rows := self._connection.execute(text, (verdict, last, _FEW)).fetchall():
            found = [Kept(*row) for row in rows]
            yield from found
            last = found[-1].event_id

    def picture_bytes(self) -> int:
        """Return how many bytes all pictures that are kept have."""
        return int(self._connection.execute("SELECT coalesce(sum(size), 0) FROM pictures").fetchone()[0])

    def written(self, day: str) -> int:
        """Return how many bytes of pictures were written on a day."""
        row = self._connection.execute("SELECT picture_bytes FROM written WHERE day = ?", (day,)).fetchone()
        return 0 if row is None else int(row[0])

    def notes(self) -> Iterator[Link]:
        """Every note, the newest first."""
        rows = self._connection.execute(
            "SELECT seq, kind, body, hash FROM entries WHERE kind = 'note' ORDER BY seq DESC"
        )
        return (_link(row) for row in rows)

    def start(self) -> Anchor:
        """Return where the entries that are there begin, as the last note that some were taken out says."""
        found = next((note for note in map(_note, self.notes()) if note.get("what") == "trimmed"), None)
        return START if found is None else Anchor(int(found["upto"]), str(found["hash"]))

    def links(self) -> Iterator[tuple[Link, tuple[str | None, ...]]]:
        """Every entry in order, each with the columns that it is found by: event_id, station, part, verdict."""
        rows = self._connection.execute(
            "SELECT seq, kind, body, hash, event_id, station, part, verdict FROM entries ORDER BY seq"
        )
        return ((_link(row[:4]), tuple(row[4:])) for row in rows)

    def head(self) -> Anchor:
        """Return where the chain has come to."""
        return head_of(self._connection)

    def hash_of(self, seq: int) -> str | None:
        """Return the hash of an entry; None: there is none of that number."""
        row = self._connection.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else str(row[0])

    def outputs(self) -> list[Queue]:
        """Return the queues of all outputs that there ever were, by name."""
        rows = self._connection.execute("SELECT name, sent, stations FROM outputs ORDER BY name").fetchall()
        return [Queue(str(name), int(sent), tuple(json.loads(stations))) for name, sent, stations in rows]

    def counts(self) -> dict[tuple[str, PartVerdict], int]:
        """Return how many events there ever were of each station and verdict."""
        text = "SELECT station, verdict, events FROM tallies"
        return {(row[0], row[1]): int(row[2]) for row in self._connection.execute(text)}

    def query(self, asked: Asked) -> Iterator[Stored]:
        """The events that somebody asks for, in order."""
        wanted: list[tuple[str, tuple[str, ...]]] = [
            ("event_id >= ?", (asked.since,) if asked.since else ()),
            ("event_id < ?", (asked.until,) if asked.until else ()),
            (f"station IN ({','.join('?' * len(asked.stations))})", asked.stations),
            (f"verdict IN ({','.join('?' * len(asked.verdicts))})", asked.verdicts),
            ("part = ?", (asked.part,) if asked.part else ()),
        ]
        where = " AND ".join(["kind = 'event'", *(text for text, values in wanted if values)])
        values: list[str | int] = [value for _, given in wanted for value in given]
        text = f"SELECT seq, event_id, hash, body FROM entries WHERE {where}"
        if asked.newest is not None:
            text = f"SELECT * FROM ({text} ORDER BY seq DESC LIMIT ?)"
            values.append(asked.newest)
        return (Stored(*row) for row in self._connection.execute(f"{text} ORDER BY seq", values))


def open_reader(root: Path) -> Reader:
    """Open a store to read it. Raises StoreError in one line."""
    folder = Folder(root)
    if not folder.database.is_file():
        raise StoreError(f"there is no store in {root}; name the folder that the recipe calls store")
    try:
        connection = _connect(folder.database)
        version = version_of(connection)
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the store {root}: {error}; edge-run sets a damaged one aside") from error
    if version != len(MIGRATIONS):
        connection.close()
        raise StoreError(
            f"the store {root} is of version {version}, this Edgeline reads {len(MIGRATIONS)}; "
            + ("start edge-run once, which brings it there" if version < len(MIGRATIONS) else "install the newer one")
        )
    return Reader(folder, connection)


@contextlib.contextmanager
def store_reader(root: Path) -> Iterator[Reader]:
    """Open a store to read it in the block. Raises StoreError in one line, for what is damaged inside of it too."""
    with contextlib.closing(open_reader(root)) as reader:
        try:
            yield reader
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {root}: {error}; edge-run sets a damaged one aside") from error
        except json.JSONDecodeError as error:
            raise StoreError(f"a record of {root} was altered: {error}; edge-station verify-log says which") from error


def known_events(root: Path, event_ids: Sequence[str]) -> frozenset[str] | None:
    """Return which of some events are committed; None: that cannot be told now."""
    try:
        with contextlib.closing(open_reader(root)) as reader:
            return frozenset(event_id for event_id in event_ids if reader.event(event_id) is not None)
    except (StoreError, sqlite3.Error):
        return None


def _connect(database: Path) -> sqlite3.Connection:
    """Read only; where even a reader's own files cannot be made (a read-only disk), as a file that nobody changes."""
    place = f"file:{quote(str(database.absolute()))}"
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        connection = sqlite3.connect(f"{place}?{mode}", uri=True, timeout=10.0, check_same_thread=False)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            keep_little(connection)
        except sqlite3.OperationalError:
            connection.close()
            if "immutable" in mode:
                raise
        else:
            return connection
    raise AssertionError  # the loop returns or raises


def _note(link: Link) -> dict[str, Any]:
    """What a note says; {} where somebody made it none, which is told when the chain is checked."""
    try:
        found = json.loads(link.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _link(row: Sequence[object]) -> Link:
    seq, kind, body, digest = row
    return Link(int(cast("int", seq)), cast("Kind", kind), str(body), str(digest))
