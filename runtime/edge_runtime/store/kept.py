"""Which pictures are kept: the database knows it, and memory holds only what it does not know yet.

So a station's memory does not grow with the pictures of months, however large their quota is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge_runtime.store.entries import VERDICTS, Event, Kept, PartVerdict
from edge_runtime.store.folder import Folder, is_half
from edge_runtime.store.reading import Reader
from edge_runtime.store.shelf import Shelved
from edge_runtime.store.writer import Writer

__all__ = ["KeptPictures"]

_STORED_S = 5.0


class KeptPictures:
    """The pictures of a store, for the one thread that adds and removes them."""

    def __init__(self, folder: Folder, reader: Reader, writer: Writer, known: bool = False) -> None:
        """Put right what a kill left: halves of files, files without an entry, entries without a file.

        What is no file of ours stays. `known`: this process closed the store a moment ago, and no kill came between.
        """
        self._folder, self._reader, self._writer = folder, reader, writer
        self._added = 0  # the ticket of the picture that was added last
        # Events whose pictures were removed, and of which the database may not know it yet.
        self._gone: set[str] = set()
        self.bytes = reader.picture_bytes()
        if not known:
            self._settle()

    def add(self, kept: Kept) -> None:
        """Take one whose file is there. Raises StoreError once the writer takes nothing more."""
        self._added = self._writer.put(kept)
        self.bytes += kept.size

    def remove(self, event_id: str) -> None:
        """Remove one with its file."""
        kept = self._reader.picture(event_id)
        if kept is None:
            return
        with contextlib.suppress(OSError):
            path = f"{self._folder.pictures}/{kept.place}"  # no Path: see write_bytes
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.rmdir(folder := os.path.dirname(path))  # of a station's day, when it is empty
            os.rmdir(os.path.dirname(folder))
        self._forget(kept)

    def shelves(self) -> Mapping[PartVerdict, Iterator[Shelved]]:
        """Return those of each verdict, oldest first; they are looked up when they are asked for."""
        return {verdict: self._shelf(verdict) for verdict in VERDICTS}

    def _shelf(self, verdict: PartVerdict) -> Iterator[Shelved]:
        if self._writer.waiting.since is None:  # else the database will not know of it for a while, and nobody waits
            self._writer.stored(self._added, _STORED_S)
        self._gone = {event_id for event_id in self._gone if self._reader.picture(event_id) is not None}
        for kept in self._reader.pictures_of(verdict):
            if kept.event_id not in self._gone:
                yield Shelved(kept.event_id, kept.size)

    def _forget(self, kept: Kept) -> None:
        self._writer.removed(kept.event_id)
        self._gone.add(kept.event_id)
        self.bytes -= kept.size

    def _settle(self) -> None:
        for kept in self._reader.pictures():
            if not (self._folder.pictures / kept.place).is_file():
                self._forget(kept)
        for path in self._folder.kept_files():
            self._settle_file(path)

    def _settle_file(self, path: Path) -> None:
        """Leave a file that has its entry, give it to one that lacks it, remove any other."""
        place = path.relative_to(self._folder.pictures).as_posix()
        whole = not is_half(path)
        known = self._reader.picture(path.stem) if whole else None
        if known is not None and known.place == place:
            return
        with contextlib.suppress(OSError):
            found = self._found(path, place) if whole else None
            if found is None:
                path.unlink()
            else:
                self.add(found)

    def _found(self, path: Path, place: str) -> Kept | None:
        """The entry that a whole file lacks: its event is there, and the kill came before the entry was committed."""
        stored = self._reader.event(path.stem)
        if stored is None:
            return None
        event, data = Event.of(json.loads(stored.body)), path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return Kept(event.event_id, event.station, event.verdict, place, len(data), digest, place.split("/")[0])
