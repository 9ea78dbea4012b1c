"""A store is opened: locked, checked, and where it is damaged set aside, so that the station starts without a hand."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import StoreError
from edge_runtime.files.atomic import lasting_folder
from edge_runtime.files.sizes import format_size
from edge_runtime.store.chain import START, Anchor
from edge_runtime.store.entries import Batch, Note
from edge_runtime.store.folder import Folder, Lock, set_aside
from edge_runtime.store.head import read_head
from edge_runtime.store.ledger import Ledger
from edge_runtime.store.migrations import version_of

__all__ = ["DiskError", "OpenedStore", "fault_of", "open_store"]

_LEAST_FREE = 256 << 10  # bytes that SQLite needs beside a database to open it
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # what a disk says that may take something later


class DiskError(StoreError):
    """A store whose disk takes nothing for now, which may pass: it is full, or read-only."""


@dataclass(frozen=True)
class OpenedStore:
    """A store that this process may write."""

    folder: Folder
    ledger: Ledger
    lock: Lock

    def close(self) -> None:
        """Close the database and let others write."""
        self.ledger.close()
        self.lock.release()


def open_store(root: Path, notice: Callable[[str], None], known: bool = False) -> OpenedStore:
    """Open the store in a folder, which is made where it is not there; `notice` is told what was set aside and why.

    `known`: this process closed it a moment ago, and it need not be looked through.

    Raises StoreError in one line: another process writes there, a newer Edgeline has, or nothing can be written;
    DiskError, where that is for the disk.
    """
    folder = Folder(root)
    try:
        lasting_folder(root)
        lock = Lock(folder)
        try:
            return _opened(folder, lock, notice, known)
        except BaseException:
            lock.release()
            raise
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        if (free := _free(root)) < _LEAST_FREE:  # of which SQLite says "disk I/O error", too
            raise DiskError(
                f"cannot open the store {root}: its disk is full, {format_size(free)} are left ({reason}); "
                "free some space"
            ) from error
        kind = (
            DiskError if getattr(error, "errno", None) in _PASSING or "readonly database" in str(error) else StoreError
        )
        raise kind(f"cannot open the store {root}: {reason}; check its folder, who may write there") from error


def _free(root: Path) -> int:
    """How many bytes may still be written where a folder is, or would be."""
    there = next((parent for parent in (root.absolute(), *root.absolute().parents) if parent.exists()), None)
    if there is None:
        return _LEAST_FREE
    disk = os.statvfs(there)
    return _LEAST_FREE if disk.f_flag & os.ST_RDONLY else disk.f_bavail * disk.f_frsize


def _opened(folder: Folder, lock: Lock, notice: Callable[[str], None], known: bool) -> OpenedStore:
    fault = "" if known else fault_of(folder)
    aside = None
    if fault:
        aside = set_aside(folder)
        notice(f"the store was damaged ({fault}); it was set aside as {aside}, and a new one begins")
    ledger = Ledger(folder.database)
    if aside is not None:
        ledger.append(Batch((Note("set aside", {"folder": aside.name, "why": fault}),)))
    return OpenedStore(folder, ledger, lock)


def fault_of(folder: Folder) -> str:
    """Return why the database cannot be gone on with, "" where it can. Raises StoreError, sqlite3.Error.

    What only keeps it from being read just now (no memory, no permission) is no fault of it, and raised.
    """
    written = read_head(folder.head) or START
    if not folder.database.exists():
        return "its database is gone" if written.seq or any(folder.kept_files()) else ""
    connection = sqlite3.connect(folder.database, isolation_level=None)
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            return " ".join(str(found).split())
        return _behind(connection, written) if version_of(connection) else "its tables are gone" if written.seq else ""
    except sqlite3.DatabaseError as error:
        # Of what sqlite3 tells, "malformed" and "not a database" alone are of this class and none below it.
        if type(error) is sqlite3.DatabaseError:
            return str(error)
        raise
    finally:
        connection.close()


def _behind(connection: sqlite3.Connection, written: Anchor) -> str:
    if not written.seq:
        return ""
    row = connection.execute("SELECT hash FROM entries WHERE seq = ?", (written.seq,)).fetchone()
    if row is None:
        return f"entry {written.seq}, which was written down as its last, is missing"
    return "" if row[0] == written.hash else f"entry {written.seq} is another than the one that was written down"
