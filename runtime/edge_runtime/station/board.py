"""How it goes, for others to look at: one small file in memory, written anew every second and never to a disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_devices.process_memory import memory
from edge_devices.thermal import hottest
from edge_runtime.inspect.record import utc_text
from edge_runtime.inspect.sources.base import now_utc
from edge_runtime.outputs.feeding import Feeder
from edge_runtime.station.clock import Clock
from edge_runtime.station.figures import Figures
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.writer import Writer

__all__ = ["Board", "board_path", "board_unlocked", "read_board"]

_EVERY_S = 1.0
_PLACES = ("/run/*", "/run/user/*", "/dev/shm")  # where boards lie, of any user's process


def board_path(store: Path) -> Path:
    """Return the file for a store: in the service's folder of /run, the user's, or what else lies in memory."""
    places = [os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0], os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"]
    folder = next((Path(place) for place in places if place and os.access(place, os.W_OK)), Path(tempfile.gettempdir()))
    return folder / f"edgeline-{os.getuid()}-{_name(store)}.json"


def _name(store: Path) -> str:
    return hashlib.sha256(os.fsencode(store.absolute())).hexdigest()[:16]


class Board:
    """Writes the file until it is closed, and then removes it."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        keeper: PictureKeeper,
        feeders: Sequence[Feeder],
        figures: Mapping[str, Figures],
        clock: Clock,
    ) -> None:
        self.path = path
        self._writer, self._keeper, self._feeders, self._figures = writer, keeper, feeders, figures
        self._clock = clock
        self._started = utc_text(now_utc())
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgeline-board", daemon=True)
        self._thread.start()

    def to_json(self) -> dict[str, Any]:
        """What there is to be said now."""
        waiting, now = self._writer.waiting, time.monotonic()
        return {
            "pid": os.getpid(),
            "started": self._started,
            "ts_utc": utc_text(now_utc()),
            "stations": {name: figures.to_json(now) for name, figures in self._figures.items()},
            "store": {
                "seq": self._writer.head.seq,
                "waiting": waiting.entries,
                "failing_s": None if waiting.since is None else round(now - waiting.since, 1),
                "why": waiting.why,
                "pictures_left_out": self._keeper.left_out,
            },
            "outputs": {feeder.name: {"sent": feeder.sent, "refused": feeder.refused} for feeder in self._feeders},
            "clock": self._clock.to_json(),
            "memory": memory().resident,
            "temperature_c": hottest(),
        }

    def close(self) -> None:
        """End."""
        self._end.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _work(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(OSError):
                temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
                temporary.write_text(json.dumps(self.to_json()), encoding="utf-8")
                temporary.replace(self.path)
            self._end.wait(_EVERY_S)


def board_unlocked(store: Path) -> dict[str, Any] | None:
    """Return what a process says that still waits for a store's disk, and so has no lock there; None: there is none."""
    found = [board_path(store)]
    for place in _PLACES:
        found += Path("/").glob(f"{place.lstrip('/')}/edgeline-*-{_name(store)}.json")
    boards = (read_board(path) for path in found)
    return next((board for board in boards if board is not None and Path(f"/proc/{board['pid']}").exists()), None)


def read_board(path: Path) -> dict[str, Any] | None:
    """Return what a station says; None: nothing."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None
