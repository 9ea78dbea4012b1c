"""Pictures on the disk: shelf.py says which, one thread writes and removes them, and verdicts never wait for it.

A file appears whole or not at all; its entry is committed once it is there. What a kill leaves between the two is put
right at the next start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge_runtime.errors import OutputError, StoreError
from edge_runtime.files.atomic import lasting_folder, write_bytes
from edge_runtime.files.sizes import format_size
from edge_runtime.store.entries import VERDICTS, Event, Kept, PartVerdict
from edge_runtime.store.folder import Folder
from edge_runtime.store.reading import Reader
from edge_runtime.store.shelf import Quota, Shelved, admit, make_room
from edge_runtime.store.writer import Writer

__all__ = ["PictureKeeper", "settle"]

_WAITING = 2  # pictures in memory, beside the one that is written
_PAUSE_S = 10.0  # after a failure none is tried for so long
_ROOM = 8 << 20  # bytes of OK pictures that make way when the disk is full
_RESERVE = 64 << 20  # bytes of a disk, or a tenth of a small one, that pictures leave alone
Encode = Callable[[], bytes]


@dataclass(frozen=True)
class _Job:
    event: Event
    encode: Encode


def _free_for_pictures(folder: Path) -> int:
    """The rest is for verdicts, which are small and matter more."""
    usage = shutil.disk_usage(folder)
    return usage.free - min(_RESERVE, usage.total // 10)


class PictureKeeper:
    """Keeps pictures of events within a quota."""

    def __init__(
        self,
        folder: Folder,
        quota: Quota,
        writer: Writer,
        notice: Callable[[str], None],
        free: Callable[[Path], int] = _free_for_pictures,
    ) -> None:
        """`notice` is told when pictures begin to be left out, and when they are kept again.

        `free` says how many bytes of the disk that a folder is on pictures may still take.
        """
        self._folder, self._quota, self._writer, self._notice, self._free = folder, quota, writer, notice, free
        self._shelves: dict[PartVerdict, dict[str, Shelved]] = {verdict: {} for verdict in VERDICTS}
        self._places: dict[str, str] = {}
        self._day, self._written = _today(), 0
        self._failing, self._pause_until = "", 0.0
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self.left_out = 0  # pictures that were not kept for lack of time or room
        self._thread = threading.Thread(target=self._work, name="edgeline-pictures", daemon=True)

    def start(self, reader: Reader) -> None:
        """Learn what is kept, put right what a kill left, and begin."""
        for kept in settle(self._folder, reader, self._writer):
            self._shelve(kept)
        self._written = reader.written(self._day)
        self._make_room(self._taken() - self._quota.size)
        self._thread.start()

    def offer(self, event: Event, encode: Encode, wait: bool) -> None:
        """Keep the picture of an event, a file's bytes as `encode` gives them; `wait` False: not when others wait."""
        with contextlib.suppress(queue.Full):
            self._jobs.put(_Job(event, encode), block=wait)
            return
        self.left_out += 1

    def close(self) -> None:
        """Write what waits."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if time.monotonic() < self._pause_until:
                self.left_out += 1
                continue
            try:
                self._keep(job)
            except StoreError:  # the writer has ended, which is told elsewhere
                self._pause_until = math.inf
            except Exception as error:  # noqa: BLE001  # whatever it is: verdicts go on, and nobody waits for ever
                self._failed(error)

    def _keep(self, job: _Job) -> None:
        data, event = job.encode(), job.event
        if (free := self._free(self._folder.root)) < len(data):
            raise OutputError(f"{format_size(max(free, 0))} of the disk are left for them, the rest is for verdicts")
        if (today := _today()) != self._day:
            self._day, self._written = today, 0
        shelves = {verdict: shelf.values() for verdict, shelf in self._shelves.items()}
        admission = admit(event.verdict, len(data), shelves, self._taken(), self._written, self._quota)
        if not admission.kept:
            self.left_out += 1
            return
        for one in admission.remove:
            self._remove(one.event_id)
        place = f"{self._day}/{event.station}/{event.event_id}.png"
        target = self._folder.pictures / place
        lasting_folder(target.parent)
        write_bytes(target, data)
        digest = hashlib.sha256(data).hexdigest()
        kept = Kept(event.event_id, event.station, event.verdict, place, len(data), digest, self._day)
        self._writer.put(kept)
        self._shelve(kept)
        self._written += kept.size
        if self._failing:
            self._failing = ""
            self._notice("pictures are kept again")

    def _failed(self, error: Exception) -> None:
        self.left_out += 1
        self._pause_until = time.monotonic() + _PAUSE_S
        self._make_room(_ROOM, ("OK",))
        if not self._failing:
            self._failing = " ".join(str(error).split())
            self._notice(f"PICTURES ARE NOT KEPT, verdicts are: {self._failing}")

    def _make_room(self, needed: int, verdicts: tuple[PartVerdict, ...] = VERDICTS) -> None:
        shelves = {verdict: tuple(shelf.values()) for verdict, shelf in self._shelves.items()}
        for one in make_room(needed, shelves, verdicts):
            self._remove(one.event_id)

    def _taken(self) -> int:
        return sum(one.size for shelf in self._shelves.values() for one in shelf.values())

    def _shelve(self, kept: Kept) -> None:
        self._shelves[kept.verdict][kept.event_id] = Shelved(kept.event_id, kept.size)
        self._places[kept.event_id] = kept.place

    def _remove(self, event_id: str) -> None:
        place = self._places.pop(event_id)
        for shelf in self._shelves.values():
            shelf.pop(event_id, None)
        with contextlib.suppress(OSError):
            path = self._folder.pictures / place
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # of a station's day, when it is empty
            path.parent.parent.rmdir()
        self._writer.removed(event_id)


def settle(folder: Folder, reader: Reader, writer: Writer) -> list[Kept]:
    """Put right what a kill left: halves of files, files without an entry, entries without a file.

    Returns the pictures that are there, oldest first.
    """
    known = {kept.place: kept for kept in reader.pictures()}
    there = {place: kept for place, kept in known.items() if (folder.pictures / place).is_file()}
    for place in known.keys() - there.keys():
        writer.removed(known[place].event_id)
    for path in sorted(folder.pictures.rglob("*")):
        if not path.is_file() or path.relative_to(folder.pictures).as_posix() in known:
            continue
        with contextlib.suppress(OSError):
            found = None if path.suffix != ".png" or path.name.startswith(".") else _found(folder, path, reader)
            if found is None:
                path.unlink()
            else:
                writer.put(found)
                there[found.place] = found
    return sorted(there.values(), key=lambda kept: kept.event_id)


def _found(folder: Folder, path: Path, reader: Reader) -> Kept | None:
    """The entry that a whole file lacks: its event is there, and the kill came before the entry was committed."""
    stored = reader.event(path.stem)
    if stored is None:
        return None
    place, data = path.relative_to(folder.pictures).as_posix(), path.read_bytes()
    event, digest = Event.of(json.loads(stored.body)), hashlib.sha256(data).hexdigest()
    return Kept(event.event_id, event.station, event.verdict, place, len(data), digest, place.split("/")[0])


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
