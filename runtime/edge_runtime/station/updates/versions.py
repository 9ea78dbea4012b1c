"""A folder of versions: several bundles of one place on the line, of which `current` is the one that runs.

FOLDER/current -> versions/2     what recipes name; switched in one step
FOLDER/versions/1, 2, ...        bundles; one that has its number is whole, on the disk, and was tried
FOLDER/versions/.staging         what is being brought and tried; .gone-N: what is being removed
FOLDER/update.json               who is on probation, and how earlier updates ended (state.py)
FOLDER/inbox/                    where it is there: what is put into it is taken for an update (inbox.py)
FOLDER/lock, FOLDER/state.lock   held while an update is made; while `current` or update.json change
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UpdateError
from edge_runtime.files.atomic import lasting_folder, sync_path, write_link, writing

__all__ = ["Versions", "versions_of"]

_VERSIONS, _CURRENT = "versions", "current"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_LINK = re.compile(rf"{_VERSIONS}/([1-9][0-9]{{0,8}})")
_HALF = (".staging", ".gone-*")


@dataclass(frozen=True)
class Versions:
    """A folder of versions."""

    root: Path

    @property
    def current(self) -> Path:
        """The link."""
        return self.root / _CURRENT

    @property
    def staging(self) -> Path:
        return self.root / _VERSIONS / ".staging"

    @property
    def state(self) -> Path:
        return self.root / "update.json"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    def version(self, number: int) -> Path:
        """The bundle of a number."""
        return self.root / _VERSIONS / str(number)

    def number(self) -> int | None:
        """Which version `current` leads to; None: there is none yet. Raises UpdateError for another kind of file."""
        try:
            target = os.fspath(self.current.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UpdateError(
                f"{self.current} is no link to a version ({error.strerror}); name another folder"
            ) from error
        found = _LINK.fullmatch(target)
        if found is None:
            raise UpdateError(f"{self.current} leads to {target}, expected {_VERSIONS}/N; name another folder")
        return int(found[1])

    def numbers(self) -> list[int]:
        """The versions that are there, ascending."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(path.name) for path in (self.root / _VERSIONS).iterdir() if _NUMBER.fullmatch(path.name))
        return []

    def make(self) -> None:
        """Create what is not there. Raises OutputError."""
        with writing(self.root):
            lasting_folder(self.root / _VERSIONS)

    def keep(self, number: int) -> None:
        """Make what is staged the version of a number, on the disk. Raises OutputError."""
        with writing(self.version(number)):
            for path in sorted(self.staging.iterdir()):
                sync_path(path)
            sync_path(self.staging)
            self.staging.rename(self.version(number))
            sync_path(self.root / _VERSIONS)

    def switch(self, number: int) -> None:
        """Have `current` lead to a version, from one instant to the next. Raises OutputError."""
        write_link(self.current, f"{_VERSIONS}/{number}")

    def remove(self, number: int) -> None:
        """Remove a version. One that is half removed has no number any more."""
        gone = self.root / _VERSIONS / f".gone-{number}"
        with contextlib.suppress(OSError):
            self.version(number).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def clean(self) -> None:
        """Remove what a kill or a power cut left half made; for who holds the lock."""
        for pattern in _HALF:
            for path in (self.root / _VERSIONS).glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        for path in self.root.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def updating(self) -> Iterator[None]:
        """The right to bring a version. Raises UpdateError where another process has it."""
        with self._held("lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """The right to change `current` and the state, which nobody has for long."""
        with self._held("state.lock", fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def _held(self, name: str, how: int) -> Iterator[None]:
        with writing(self.root / name):
            descriptor = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, how)
            except BlockingIOError as error:
                raise UpdateError(f"another update of {self.root} is under way; try again when it has ended") from error
            yield
        finally:
            os.close(descriptor)


def versions_of(link: Path) -> Versions | None:
    """The folder of versions that a recipe's bundle belongs to; None: it is a bundle of its own."""
    if link.name != _CURRENT:
        return None
    with contextlib.suppress(OSError):
        if _LINK.fullmatch(os.fspath(link.readlink())):
            return Versions(link.parent)
    return None
