"""A disk that is full, and one that is read-only, while parts go on to come."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import UsageError
from edge_tools.station.troubles.running import FOLDER, TOLD, Dropping, Found, Running, Truth, events_of, hold, stored
from edge_tools.station.troubles.shim import Shim

__all__ = ["full", "read_only"]

_RECIPE = """\
store: {{path: store}}
stations:
  table:
    source: watch:{folder}
    watch: {{settle: 0s}}
    bundle: {bundle}
    outputs: [jsonl: {told}]
    pictures: {{ok_every: 1}}
"""
_DISK = "8m"  # some pictures, and not much more than the log takes before it is written over
# Something else has the rest of it: of small pictures so many would come before it is full that records fill it, too.
_FOR_PICTURES = 2 << 20
_LEFT_OUT, _NOT_STORED = "pictures were left out", "VERDICTS ARE NOT STORED"


def full(folder: Path, times: int, parts: int, truth: Truth) -> Found:
    """So many stores on a tmpfs each: pictures fill it, then something else does, `parts` come, there is room again.

    In the end it is killed while verdicts wait in memory, and starts on the full disk: its parts are judged again. Then
    it is stopped, and the disk full to the last page when it starts.
    """
    found = Found("disk full")
    for number in range(times):
        place = folder / str(number)
        place.mkdir()
        one = _full(place, parts, truth)
        found.times += 1
        found.events += one.events
        found.no_read += one.no_read
        found.states += one.states
        found.wrong += one.wrong
    return found


def _full(folder: Path, parts: int, truth: Truth) -> Found:
    found, dropping = Found("disk full"), Dropping(folder)
    _write_recipe(folder)
    with _mounted(folder / "store"):
        filler = folder / "store" / "something else"
        flood = functools.partial(_flood, filler, dropping.flow)
        with Running(folder) as station:
            dropping.drop()
            station.until(lambda: stored(folder), "the first verdict")
            _take(filler, _FOR_PICTURES)
            found.states.append(station.until(lambda: station.shows(_LEFT_OUT), _LEFT_OUT, dropping.flow))
            station.until(lambda: station.shows(_NOT_STORED), _NOT_STORED, flood)
            _while_nothing_is_stored(station, dropping, parts, found)
            filler.unlink()
            _when_it_is_over(station, dropping)
            station.until(lambda: station.shows(_NOT_STORED), _NOT_STORED, flood)
            station.kill()
        with Running(folder) as station:
            state = station.until(lambda: station.shows(_NOT_STORED), f"{_NOT_STORED}, after a start", flood)
            found.states.append(f"{state} (after a start)")
            filler.unlink()
            _when_it_is_over(station, dropping)
            _end(station, found)
        _flood(filler)
        _start(folder, dropping, parts, found, filler.unlink)
        hold(folder, found, "at the end")
        dropping.hold(events_of(folder, "table"), truth, found)
    return found


def read_only(folder: Path, times: int, parts: int, truth: Truth) -> Found:
    """A store that the kernel refuses to write, again and again; and a start while it does."""
    found, dropping = Found("disk read-only"), Dropping(folder)
    _write_recipe(folder)
    shim = Shim(folder, folder / "store")
    with Running(folder, shim.environment) as station:
        dropping.drop()
        station.until(lambda: stored(folder), "the first verdict")
        for _ in range(times):
            shim.set_read_only(True)
            station.until(lambda: station.shows(_NOT_STORED), _NOT_STORED, dropping.flow)
            _while_nothing_is_stored(station, dropping, parts, found)
            shim.set_read_only(False)
            _when_it_is_over(station, dropping)
            found.times += 1
        _end(station, found)
    shim.set_read_only(True)
    _start(folder, dropping, parts, found, lambda: shim.set_read_only(False), shim.environment)
    hold(folder, found, "at the end")
    dropping.hold(events_of(folder, "table"), truth, found)
    return found


def _start(
    folder: Path,
    dropping: Dropping,
    parts: int,
    found: Found,
    mend: Callable[[], None],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start where the disk takes nothing from the first: parts are judged, and stored once it is mended."""
    dropping.drop(parts)
    with Running(folder, environment) as station:
        station.until(lambda: station.waiting() >= parts, f"{parts} verdicts in memory")
        found.states.append(f"{station.shows(_NOT_STORED)} (after a start)")
        mend()
        _when_it_is_over(station, dropping)
        _end(station, found)


def _while_nothing_is_stored(station: Running, dropping: Dropping, parts: int, found: Found) -> None:
    """Parts come; they are judged and wait, and nobody is told of any that is not stored."""
    dropping.drop(parts)
    waiting = dropping.count - stored(station.folder)
    station.until(lambda: station.waiting() >= waiting, f"{waiting} verdicts in memory")
    found.states.append(station.shows(_NOT_STORED))
    hold(station.folder, found, f"while {waiting} verdicts wait", whole=False)


def _when_it_is_over(station: Running, dropping: Dropping) -> None:
    station.until(lambda: stored(station.folder) >= dropping.count, "all is stored")
    station.until(lambda: not station.shows(_NOT_STORED), "the state is over")


def _end(station: Running, found: Found) -> None:
    if (code := station.stop()) != 143:
        found.wrong.append(f"it ended with {code}: {station.said[-3:]}")
    told, over = station.has_said(_NOT_STORED), station.has_said("verdicts are stored again")
    if told != over:
        found.wrong.append(f"it said {told} times that verdicts are not stored, and {over} times that they are again")


def _write_recipe(folder: Path) -> None:
    recipe = _RECIPE.format(folder=FOLDER, bundle=find_sample().bundle, told=TOLD)
    (folder / "station.yaml").write_text(recipe, encoding="utf-8")


def _take(path: Path, left: int) -> None:
    """Take what a disk has, but for so many bytes."""
    with path.open("ab", buffering=0) as file:
        while shutil.disk_usage(path.parent).free > left:
            file.write(bytes(4096))


def _flood(path: Path, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Take what a disk has left, to the last page."""
    meanwhile()
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


@contextlib.contextmanager
def _mounted(place: Path) -> Iterator[None]:
    """Put a small file system in memory there. Raises UsageError where that is not allowed."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "edgeline", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"a small disk cannot be mounted ({done.stderr.strip()}): run it as root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)
