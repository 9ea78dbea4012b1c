"""The one connection that writes: a batch of entries is committed whole, on the disk, or not at all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.store.chain import START, Anchor, canonical, link_hash
from edge_runtime.store.entries import Batch, Event, Kept, Note, body_of, kind_of
from edge_runtime.store.migrations import migrate

__all__ = ["Ledger", "connect", "head_of", "keep_little"]

_AT_ONCE = 1000  # entries that are taken out together, so that nobody waits long; and the newest, which stay
_BUSY_S = 10.0  # somebody looks into the database with another program
_CACHE_KIB = 256  # of each connection: entries are added at the end, and read soon after. SQLite's own is 2000


def connect(database: Path) -> sqlite3.Connection:
    """Open the database for writing: every commit is on the disk when it returns. Raises sqlite3.Error.

    The connection may be handed from one thread to another; one at a time uses it.
    """
    connection = sqlite3.connect(database, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        keep_little(connection)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def keep_little(connection: sqlite3.Connection) -> None:
    """Let a connection hold few pages: what it is given it fills within minutes, and never gives back."""
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


class Ledger:
    """Appends to the chain. For one thread at a time."""

    def __init__(self, database: Path) -> None:
        """Raises what `connect` raises."""
        self._database = database
        self._outputs: set[str] = set()
        self._connection: sqlite3.Connection | None = connect(database)
        self.head = head_of(self._connection)

    def append(self, batch: Batch) -> Anchor:
        """Commit a batch, and return where the chain has come to. Raises sqlite3.Error; then nothing of it is there.

        After a failure the next call opens the database anew: what a full disk did to a connection is not known.
        """
        if self._connection is None:
            self._connection = connect(self._database)
            found = head_of(self._connection)
            if found != self.head:  # the commit that failed was made all the same
                self.head = found
                return found
        try:
            self.head = _append(self._connection, batch, self.head)
        except BaseException:
            self.close()
            raise
        return self.head

    def register(self, output: str, stations: Sequence[str]) -> int:
        """Return up to which entry an output has sent; a new one begins with what comes from now on.

        `stations`: whose events it tells.
        """
        connection = self._connection or connect(self._database)
        self._connection = connection
        self._outputs.add(output)
        connection.execute(
            "INSERT INTO outputs VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET stations = excluded.stations",
            (output, self.head.seq, json.dumps(list(stations))),
        )
        (sent,) = connection.execute("SELECT sent FROM outputs WHERE name = ?", (output,)).fetchone()
        return int(sent)

    def trimming(self, most_bytes: int) -> Batch | None:
        """Return the batch that takes the oldest entries out where they are more than `most_bytes`; None: nothing goes.

        What an output of this run has not sent stays, and so do the newest entries. Raises sqlite3.Error.
        """
        if self._connection is None or _used(self._connection) <= most_bytes:
            return None
        (first,) = self._connection.execute("SELECT min(seq) FROM entries").fetchone()
        last = min([first + _AT_ONCE - 1, self.head.seq - _AT_ONCE, *self._unsent()])
        row = self._connection.execute("SELECT hash FROM entries WHERE seq = ?", (last,)).fetchone()
        return None if row is None else Batch((Note("trimmed", {"upto": last, "hash": row[0]}),), trim=last)

    def _unsent(self) -> list[int]:
        """Up to where each output of this run has sent."""
        if self._connection is None:
            return []
        rows = self._connection.execute("SELECT name, sent FROM outputs").fetchall()
        return [int(sent) for name, sent in rows if name in self._outputs]

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def head_of(connection: sqlite3.Connection) -> Anchor:
    """Return where the chain has come to."""
    row = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    return START if row is None else Anchor(int(row[0]), str(row[1]))


def _append(connection: sqlite3.Connection, batch: Batch, head: Anchor) -> Anchor:
    tallies: Counter[tuple[str, str]] = Counter()
    connection.execute("BEGIN IMMEDIATE")
    for entry in batch.entries:
        kind, text = kind_of(entry), canonical(body_of(entry))
        head = Anchor(head.seq + 1, link_hash(head.hash, head.seq + 1, kind, text))
        found = (entry.event_id, entry.station, entry.part, entry.verdict) if isinstance(entry, Event) else (None,) * 4
        connection.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)", (head.seq, kind, *found, text, head.hash))
        if isinstance(entry, Kept):
            _shelve(connection, entry)
        elif isinstance(entry, Event):
            tallies[entry.station, entry.verdict] += 1
    for (station, verdict), count in tallies.items():
        connection.execute(
            "INSERT INTO tallies VALUES (?, ?, ?) ON CONFLICT (station, verdict) DO UPDATE SET events = events + ?",
            (station, verdict, count, count),
        )
    for event_id in batch.removed:
        connection.execute("DELETE FROM pictures WHERE event_id = ?", (event_id,))
    if batch.trim:
        connection.execute("DELETE FROM entries WHERE seq <= ?", (batch.trim,))
    for name, seq in batch.sent.items():
        connection.execute("UPDATE outputs SET sent = max(sent, ?) WHERE name = ?", (seq, name))
    connection.execute("COMMIT")
    return head


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of the database that hold something: what is taken out leaves pages that are used again."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _shelve(connection: sqlite3.Connection, kept: Kept) -> None:
    row = (kept.event_id, kept.station, kept.verdict, kept.place, kept.size, kept.digest, kept.day)
    connection.execute("INSERT OR REPLACE INTO pictures VALUES (?,?,?,?,?,?,?)", row)
    connection.execute(
        "INSERT INTO written VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET picture_bytes = picture_bytes + ?",
        (kept.day, kept.size, kept.size),
    )
