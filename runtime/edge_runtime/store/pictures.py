"""Pictures on the disk: shelf.py says which, one thread writes and removes them, and verdicts never wait for it.

A file appears whole or not at all; its entry is committed once it is there. What a kill leaves between the two is put
right at the next start.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import OutputError, StoreError
from edge_runtime.files.atomic import lasting_folder, write_bytes
from edge_runtime.files.sizes import format_size
from edge_runtime.store.entries import Event, Kept, PartVerdict
from edge_runtime.store.folder import Folder
from edge_runtime.store.kept import KeptPictures
from edge_runtime.store.places import Places, Put
from edge_runtime.store.reading import Reader
from edge_runtime.store.shelf import LEAST_FIRST, Quota, admit, make_room
from edge_runtime.store.writer import Writer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PictureKeeper"]

_WAITING = 3  # pictures in memory, the one that is encoded among them
_PAUSE_S = 10.0  # after a failure none is tried for so long
_ROOM = 8 << 20  # bytes of OK pictures that make way when the disk is full
_RESERVE = 64 << 20  # bytes of a disk, or a tenth of a small one, that pictures leave alone
Encode = Callable[["NDArray[np.uint8]"], bytes]


@dataclass(frozen=True, eq=False)
class _Job:
    event: Event
    put: Put
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
        self._reader: Reader | None = None
        self._day, self._written = _today(), 0
        self._failing, self._pause_until = "", 0.0
        self._places = Places(_WAITING)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.left_out = 0  # pictures that were not kept for lack of time or room
        self._thread: threading.Thread | None = None

    def start(self, reader: Reader, known: bool = False) -> None:
        """Put right what a kill left, and begin. `reader` is closed by `close`.

        `known`: this process closed the store a moment ago, and no kill has left anything.
        """
        self._reader = reader
        kept = KeptPictures(self._folder, reader, self._writer, known)
        self._written = reader.written(self._day)
        _make_room(kept, kept.bytes - self._quota.size)
        self._thread = threading.Thread(target=self._work, args=(kept,), name="edgeline-pictures", daemon=True)
        self._thread.start()

    def offer(self, event: Event, image: NDArray[np.uint8], encode: Encode, wait: bool) -> None:
        """Keep the picture of an event, a file's bytes as `encode` gives them; `wait` False: not when others wait.

        Before `start`, which a disk that takes nothing keeps waiting, none is.
        """
        put = None if self._thread is None else self._places.put(image, wait)
        if put is None:
            self.left_out += 1
        else:
            self._jobs.put(_Job(event, put, encode))

    def close(self) -> None:
        """Write what waits."""
        if self._thread is not None and self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        if self._reader is not None:
            self._reader.close()

    def _work(self, kept: KeptPictures) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                data = self._encoded(job)
                if data is not None:
                    self._keep(job.event, data, kept)
            except StoreError:  # the writer has ended, which is told elsewhere
                self._pause_until = math.inf
            except Exception as error:  # noqa: BLE001  # whatever it is: verdicts go on, and nobody waits for ever
                self._failed(error, kept)

    def _encoded(self, job: _Job) -> bytes | None:
        """A file's bytes, None while none is tried; the disk may then hesitate: the next picture has the place."""
        try:
            if time.monotonic() < self._pause_until:
                self.left_out += 1
                return None
            return job.encode(job.put.image)
        finally:
            self._places.free(job.put)

    def _keep(self, event: Event, data: bytes, kept: KeptPictures) -> None:
        if (free := self._free(self._folder.root)) < len(data):
            raise OutputError(f"{format_size(max(free, 0))} of the disk are left for them, the rest is for verdicts")
        if (today := _today()) != self._day:
            self._day, self._written = today, 0
        admission = admit(event.verdict, len(data), kept.shelves(), kept.bytes, self._written, self._quota)
        if not admission.kept:
            self.left_out += 1
            return
        for one in admission.remove:
            kept.remove(one.event_id)
        place = f"{self._day}/{event.station}/{event.event_id}.png"
        lasting_folder(self._folder.pictures / self._day / event.station)
        write_bytes(f"{self._folder.pictures}/{place}", data)  # no Path: see write_bytes
        digest = hashlib.sha256(data).hexdigest()
        kept.add(Kept(event.event_id, event.station, event.verdict, place, len(data), digest, self._day))
        self._written += len(data)
        if self._failing:
            self._failing = ""
            self._notice("pictures are kept again")

    def _failed(self, error: Exception, kept: KeptPictures) -> None:
        self.left_out += 1
        self._pause_until = time.monotonic() + _PAUSE_S
        with contextlib.suppress(sqlite3.Error):  # a disk that is full may not even be read
            _make_room(kept, _ROOM, ("OK",))
        if not self._failing:
            self._failing = " ".join(str(error).split())
            self._notice(f"PICTURES ARE NOT KEPT, verdicts are: {self._failing}")


def _make_room(kept: KeptPictures, needed: int, verdicts: tuple[PartVerdict, ...] = LEAST_FIRST) -> None:
    for one in make_room(needed, kept.shelves(), verdicts):
        kept.remove(one.event_id)


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
