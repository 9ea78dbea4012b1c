"""A station at work in a folder: what it says, how it stands, and what is in its books while it runs and afterwards."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edge_runtime.cli.sample import find_sample
from edge_runtime.cli.station_status import status_json, status_lines
from edge_runtime.errors import StoreError
from edge_runtime.outputs.base import published
from edge_runtime.store.reading import Asked, open_reader
from edge_runtime.store.verify import verify_log
from edge_tools.station.books import faults, start

__all__ = [
    "FOLDER",
    "TOLD",
    "Dropping",
    "Event",
    "Found",
    "Running",
    "Truth",
    "events_of",
    "hold",
    "stored",
    "truth_of",
]

FOLDER, TOLD = "in", "told.jsonl"  # what is dropped, and what is told, in the folder of a station
_PATIENCE_S = 300.0
_POLL_S = 0.02
_AHEAD = 4  # parts that have no verdict yet before no more come
T = TypeVar("T")
Truth = Mapping[str, str]  # the verdict on each picture of the sample, by its name, where nothing is in the way
Event = dict[str, Any]


@dataclass
class Found:
    """What came of one trouble: how often there was one, what was said of it while it lasted, and what is wrong."""

    trouble: str
    times: int = 0
    events: int = 0
    no_read: int = 0
    states: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as one line."""
        state = f"{len(self.wrong)} things are wrong" if self.wrong else "none lost, none twice, none wrong"
        return f"{self.trouble}, {self.times} times: {self.events} verdicts ({self.no_read} NO_READ); {state}"


class Running:
    """A station of a folder's station.yaml, as a process; a context manager that kills what still runs."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self.said = folder, list[str]()
        self._process = start(folder, environment)
        self.pid = self._process.pid
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._thread.join()

    def _hear(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            self.said += (line.rstrip() for line in stream)

    def until(self, found: Callable[[], T | None], what: str, meanwhile: Callable[[], None] | None = None) -> T:
        """Wait until there is something, and do something `meanwhile`.

        Raises RuntimeError where it ends before, or nothing comes.
        """
        end = time.monotonic() + _PATIENCE_S
        while not (it := found()):
            if meanwhile is not None:
                meanwhile()
            if self._process.poll() is not None:
                raise RuntimeError(f"{what}: the station ended with {self._process.returncode}: {self.said[-5:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {_PATIENCE_S:g} s; it said {self.said[-5:]}")
            time.sleep(_POLL_S)
        return it

    def has_said(self, begins: str) -> int:
        """How many of its lines begin so."""
        return sum(line.startswith(begins) for line in self.said)

    def status(self) -> list[str]:
        """What `edge-station status` says of it now."""
        return status_lines(status_json(self.folder / "store"))

    def waiting(self) -> int:
        """How many records wait in memory, as its status says."""
        with contextlib.suppress(StoreError, sqlite3.Error):
            now = status_json(self.folder / "store")["now"]
            return int(now["store"]["waiting"]) if now else 0
        return 0

    def shows(self, words: str) -> str:
        """The line of its status that has these words; "" where none has."""
        with contextlib.suppress(StoreError, sqlite3.Error):  # it has only just begun
            return next((line.strip() for line in self.status() if words in line), "")
        return ""

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, as a service is stopped; returns the exit code, 143."""
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends by itself; returns the exit code."""
        code = self._process.wait(_PATIENCE_S)
        self._thread.join()
        return code


class Dropping:
    """Drops pictures of the sample into a watched folder, one after another, each under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir()
        self._boards = sorted(find_sample().images.glob("*.png"))
        self.count = 0

    def flow(self) -> None:
        """Drop one more, unless some have no verdict yet."""
        if self.count - stored(self._folder.parent) < _AHEAD:
            self.drop()

    def drop(self, count: int = 1) -> None:
        """Drop so many more."""
        for _ in range(count):
            board = self._boards[self.count % len(self._boards)]
            part = self._folder / f"{self.count:06d}-{board.name}.part"
            shutil.copyfile(board, part)
            part.rename(part.with_suffix(""))
            self.count += 1

    def hold(self, events: list[Event], truth: Truth, found: Found) -> None:
        """Each has one verdict, and it is the one that the same picture has where nothing is in the way."""
        names = [Path(event["image"]).name for event in events]
        times = Counter(names)
        found.wrong += [f"{name} has {times[name]} verdicts" for name in times if times[name] > 1]
        if len(times) != self.count:
            found.wrong.append(f"{self.count} parts came, and {len(times)} have a verdict")
        for name, event in zip(names, events, strict=True):
            if event["verdict"] != truth[name.partition("-")[2]]:
                found.wrong.append(f"{name} is {event['verdict']}: {event['reasons']}")


def stored(folder: Path, station: str = "", verdict: str = "") -> int:
    """How many verdicts are stored, of a station, of a kind ("": of all); none where there is no store yet."""
    with contextlib.suppress(StoreError, sqlite3.Error), contextlib.closing(open_reader(folder / "store")) as reader:
        counts = reader.counts().items()
        return sum(count for (name, told), count in counts if station in ("", name) and verdict in ("", told))
    return 0


def events_of(folder: Path, station: str) -> list[Event]:
    """Every event of a station that is stored, in order; none where there is no store yet."""
    with contextlib.suppress(StoreError), contextlib.closing(open_reader(folder / "store")) as reader:
        return [published(stored) for stored in reader.query(Asked(stations=(station,)))]
    return []


def told(folder: Path) -> list[str]:
    """The whole lines that were told."""
    path = folder / TOLD
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def hold(folder: Path, found: Found, when: str, whole: bool = True) -> None:
    """What was told is stored as it was told, once and in order, and the chain verifies; `whole`: all is told."""
    lines = told(folder)  # before the store is looked at: what was told is stored
    with contextlib.closing(open_reader(folder / "store")) as reader:
        found.wrong += [f"{when}: {one.what}" for one in verify_log(reader).breaks]
        found.wrong += [f"{when}: {fault}" for fault in faults(lines, reader)]
        counts = reader.counts()
        found.events = sum(counts.values())
        found.no_read = sum(count for (_, verdict), count in counts.items() if verdict == "NO_READ")
    if whole and len(lines) != found.events:
        found.wrong.append(f"{when}: {len(lines)} are told of {found.events}")
    if list((folder / "store").glob("damaged-*")):
        found.wrong.append(f"{when}: a store was set aside")


def truth_of(folder: Path) -> Truth:
    """Judge the sample's pictures where nothing is in the way."""
    sample = find_sample()
    folder.mkdir()
    (folder / "station.yaml").write_text(
        f"{{store: store, stations: {{table: {{source: {sample.images}, bundle: {sample.bundle}}}}}}}", encoding="utf-8"
    )
    with Running(folder) as station:
        if station.ended():
            raise RuntimeError(f"the sample could not be judged: {station.said}")
    return {Path(event["image"]).name: event["verdict"] for event in events_of(folder, "table")}
