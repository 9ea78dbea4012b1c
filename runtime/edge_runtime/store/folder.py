"""What lies in a store's folder, and who may write there: one process at a time."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge_runtime.errors import StoreError
from edge_runtime.files.atomic import sync_path

__all__ = ["Folder", "Holder", "Lock", "holder_of", "is_half", "set_aside"]

_PICTURE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.png")  # an event's id


@dataclass(frozen=True)
class Folder:
    """A store's folder.

    store.db    the database, with -wal and -shm beside it while it is open
    head.json   how far the chain had come when it was last written down
    pictures/   DAY/STATION/EVENT.png
    lock        held by the process that writes; its number, and the file in which it says how it goes
    damaged-TIME/  databases that could not be read any more, with their pictures, kept for people
    """

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "store.db"

    @property
    def head(self) -> Path:
        return self.root / "head.json"

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def databases(self) -> list[Path]:
        """The database's files that are there, what belongs to it included."""
        names = (self.database, Path(f"{self.database}-wal"), Path(f"{self.database}-shm"), self.head)
        return [path for path in names if path.exists()]

    def kept_files(self) -> Iterator[Path]:
        """The files of pictures that are whole, and the halves that a kill left; nothing that others put there."""
        for path in self.pictures.glob("????-??-??/*/*"):
            if path.is_file() and (_PICTURE.fullmatch(path.name) or is_half(path)):
                yield path


def is_half(path: Path) -> bool:
    """Whether a file is one that was being written (files/atomic.py)."""
    return path.name.startswith(".") and path.suffix == ".tmp"


@dataclass(frozen=True)
class Holder:
    """The process that writes into a folder: its number, and the file in which it says how it goes (None: none yet)."""

    pid: int
    board: Path | None


class Lock:
    """The right to write into a store's folder; the kernel frees it with the process, however that ends."""

    def __init__(self, folder: Folder) -> None:
        """Raises StoreError where another process has it, OSError where nothing can be written."""
        self._descriptor = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(
                f"{folder.root} is written by another process ({getattr(holder_of(folder), 'pid', '?')}); "
                "end that one, or name another folder for the store"
            ) from error
        self.write_down("")

    def write_down(self, board: str) -> None:
        """Leave word for others: which process this is, and in which file it says how it goes."""
        text = f"{os.getpid()}\n{board}\n".encode("utf-8", "surrogateescape")
        os.pwrite(self._descriptor, text, 0)  # over what is there: emptied first, a full disk had no room for it again
        os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Let others write; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of(folder: Folder) -> Holder | None:
    """Return who writes into the folder; None: nobody does."""
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pid, _, board = os.read(descriptor, 4096).decode("utf-8", "surrogateescape").partition("\n")
            return Holder(int(pid) if pid.isdigit() else 0, Path(board.strip()) if board.strip() else None)
        return None
    finally:
        os.close(descriptor)


def set_aside(folder: Folder) -> Path:
    """Move the database's files and its pictures to a folder of their own, and return it. Raises OSError.

    Nothing is ever deleted. A new database does not know these pictures, which are what is left to look at.
    """
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    number, target = 1, folder.root / f"damaged-{moment}"
    while target.exists():
        number += 1
        target = folder.root / f"damaged-{moment}-{number}"
    target.mkdir()
    pictures = [folder.pictures] if any(folder.kept_files()) else []
    for path in [*folder.databases(), *pictures]:
        path.rename(target / path.name)
    sync_path(target)
    sync_path(folder.root)
    return target
