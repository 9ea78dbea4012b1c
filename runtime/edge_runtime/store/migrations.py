"""The tables of a store, as a literal list: the Nth script makes version N of N - 1, and never changes again."""

from __future__ import annotations

import sqlite3

from edge_runtime.errors import StoreError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate", "version_of"]

APPLICATION_ID = 0x45444745  # "EDGE", so that file(1) and we tell a store from any other database

MIGRATIONS = (
    # 1: entries are only ever added. Of `event_id`, `station`, `part` and `verdict` the truth is `body`; they are there
    # to be found. An event id begins with its time: that is the index for times. `tallies` outlive what is taken out.
    """
    CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        event_id TEXT UNIQUE,
        station TEXT,
        part TEXT,
        verdict TEXT,
        body TEXT NOT NULL,
        hash TEXT NOT NULL
    );
    CREATE INDEX entries_part ON entries (part) WHERE part IS NOT NULL;
    CREATE INDEX entries_notes ON entries (seq) WHERE kind = 'note';
    CREATE TABLE tallies (station TEXT, verdict TEXT, events INTEGER NOT NULL, PRIMARY KEY (station, verdict));
    CREATE TABLE pictures (
        event_id TEXT PRIMARY KEY,
        station TEXT NOT NULL,
        verdict TEXT NOT NULL,
        place TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest TEXT NOT NULL,
        day TEXT NOT NULL
    );
    CREATE TABLE outputs (name TEXT PRIMARY KEY, sent INTEGER NOT NULL, stations TEXT NOT NULL);
    CREATE TABLE written (day TEXT PRIMARY KEY, picture_bytes INTEGER NOT NULL);
    """,
    # 2: which picture makes way is looked up here, and nowhere else.
    """
    CREATE INDEX pictures_oldest ON pictures (verdict, event_id);
    """,
)


def version_of(connection: sqlite3.Connection) -> int:
    """Return which of the migrations the database has come to. Raises StoreError for one that is not a store."""
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and found != APPLICATION_ID:
        raise StoreError("the database is no store of Edgeline's; name another folder for the store")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the newest version, each step whole or not at all.

    Raises StoreError for one that a newer Edgeline made, and what sqlite3 raises.
    """
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store is of version {version}, this Edgeline knows {len(MIGRATIONS)} at most; install the newer one"
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        # executescript commits by itself: the whole step is one script.
        stamp = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN IMMEDIATE; {script} {stamp} COMMIT;")
