"""A watched folder (`watch:FOLDER`): each picture that is dropped into it and whole is a frame. It never ends."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edge_runtime.files.names import shown
from edge_runtime.inspect.record import lasting_event_id
from edge_runtime.inspect.sources.base import Frame, SourceKind
from edge_runtime.inspect.sources.images import begins_like_a_picture, natural_key, pictures_of
from edge_runtime.inspect.sources.options import DroppedOptions, SourceOptions
from edge_runtime.inspect.sources.stills.eight_bits import Depth
from edge_runtime.inspect.sources.stills.read import Picture, Reading
from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES, WATCHED

__all__ = ["DroppedSource"]

# Names that programs give a file as long as they write it.
_WRITTEN = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
_ONE_PICTURE = frozenset({".bmp", ".jpeg", ".jpg", ".png"})  # of others there may be several in a file
_AT_ONCE = 200  # files that are asked for together whether their verdicts are stored
_BUSY = 5.0  # a look at the folder that takes long is followed by a pause so many times as long
_STEM = 120  # characters
_LATEST = 4e9  # seconds since 1970: a file may say what it wants


@dataclass(frozen=True)
class _Stamp:
    """What a file is told from another one by, that has the same name."""

    size: int
    written_ns: int
    inode: int


@dataclass(eq=False)
class _Waiting:
    """A file that is not judged yet: when it was first seen, since when it has not changed, what was wrong with it."""

    stamp: _Stamp
    first: float
    since: float
    broken: _Stamp | None = None  # as it was when it was no whole picture


@dataclass(frozen=True, eq=False)
class _Given:
    """A file whose frames were given, with the ids of their events."""

    name: str
    stamp: _Stamp
    events: tuple[str, ...]


@dataclass(eq=False)
class _Look:
    """What was found in the folder at one time."""

    files: dict[str, _Stamp] = field(default_factory=dict)
    why: str | None = None  # it could not be looked at


class DroppedSource:
    """Gives a file's picture once it has not changed for a while and is whole; after a deadline why it is not.

    The frame of a file has the same event id in each run, so that whoever stores verdicts can tell which files have
    one (`DroppedOptions.known`). A file is moved away only when its verdict is stored.
    """

    def __init__(
        self,
        folder: Path,
        options: SourceOptions,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """`pause` waits for so many seconds between two looks at the folder."""
        self.name = shown(f"{WATCHED}{folder}")
        self.kind: SourceKind = "image"
        self.total: int | None = None
        self.fps: float | None = None
        self.dropped = 0
        self._folder, self._stop, self._clock = folder, stop, clock
        self._options: DroppedOptions = options.dropped
        self._notice = options.notice
        self._reading = Reading(Depth(options.bit_depth, options.notice), options.background, options.room)
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._waiting: dict[str, _Waiting] = {}
        self._given: dict[str, _Stamp] = {}
        self._untold: deque[_Given] = deque()
        self._lost = False
        self._number = 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until stopped."""
        while not self._ended():
            self._clear_away()
            began = self._clock()
            look = self._look()
            took = self._clock() - began
            if look.why is not None:
                yield from self._cannot_look(look.why)
            else:
                self._lost = False
                for name in self._unjudged(self._ready(look)):
                    yield from self._frames_of(name)
                    if self._ended():
                        return
            self._pause(max(self._options.poll, _BUSY * took))

    def close(self) -> None:
        """End a pause."""
        self._closed.set()

    def _ended(self) -> bool:
        return self._stop() or self._closed.is_set()

    def _look(self) -> _Look:
        look = _Look()
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "~")) or entry.name.lower().endswith(_WRITTEN):
                        continue
                    try:
                        if entry.is_file():
                            status = entry.stat()
                            stamp = _Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
                            look.files[entry.name] = stamp
                    except FileNotFoundError:  # gone meanwhile
                        continue
        except OSError as error:
            look.why = error.strerror or str(error)
        return look

    def _cannot_look(self, why: str) -> Iterator[Frame]:
        """What is dropped now is not seen: that is said once."""
        if not self._lost:
            self._lost = True
            yield self._frame("lost", error=f"{self.name} lost: {why}")

    def _ready(self, look: _Look) -> list[str]:
        """Return the files that are to be read now, in order."""
        now = self._clock()
        for name in self._waiting.keys() - look.files.keys():
            del self._waiting[name]
        for name in self._given.keys() - look.files.keys():
            del self._given[name]
        ready = []
        for name, stamp in look.files.items():
            if self._given.get(name) == stamp:
                continue
            waits = self._waiting.setdefault(name, _Waiting(stamp, now, now))
            if waits.stamp != stamp:
                waits.stamp, waits.since = stamp, now
            overdue = now - waits.first >= self._options.whole_within
            if overdue or (now - waits.since >= self._options.settle and waits.broken != stamp):
                ready.append(name)
        by_name = {name: natural_key(Path(name)) for name in ready}
        if self._options.order == "name":
            return sorted(ready, key=by_name.__getitem__)
        return sorted(ready, key=lambda name: (look.files[name].written_ns, by_name[name]))

    def _unjudged(self, names: Sequence[str]) -> Iterator[str]:
        """Yield the files of which no verdict is stored; while that cannot be told, none."""
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            ids = {name: self._event(name, self._waiting[name].stamp, 1) for name in some}
            if (stored := self._options.known(list(ids.values()))) is None:
                return
            for name in some:
                if ids[name] not in stored:
                    yield name
                elif Path(name).suffix.lower() in _ONE_PICTURE:
                    self._notice(f"{self.name}: files that have a verdict in the store are not judged again")
                    self._give(name, (ids[name],))
                else:  # the process may have ended between two of its pictures
                    yield name

    def _frames_of(self, name: str) -> Iterator[Frame]:
        """Read a file; one that is not whole waits, up to its deadline."""
        path, waits = self._folder / name, self._waiting[name]
        if path.suffix.lower() not in IMAGE_SUFFIXES and not begins_like_a_picture(path):
            self._notice(f"{self.name}: no pictures and not looked at: *{shown(path.suffix) or shown(name)}")
            self._given[name] = self._waiting.pop(name).stamp  # until it changes
            return
        first, wrong = self._first(path)
        overdue = self._clock() - waits.first >= self._options.whole_within
        if wrong is not None and not overdue:
            waits.broken = waits.stamp
            return
        if first is None:  # gone
            return
        single = first.page is None
        pages = iter([first]) if single else pictures_of(path, self._reading)
        events: list[str] = []
        for picture in pages:
            event = self._event(name, waits.stamp, picture.page or 1)
            events.append(event)
            if not single and self._is_stored(event):
                continue
            late = f" (not whole within {self._options.whole_within:g} s)" if picture.error and overdue else ""
            yield self._frame(
                path.stem[:_STEM],
                picture,
                path=path,
                error=None if picture.error is None else picture.error + late,
                captured=_written(waits.stamp),
                taken_s=waits.first,
                event=event,
            )
        self._give(name, tuple(events))

    def _is_stored(self, event: str) -> bool:
        """Whether one of several pictures of a file has a verdict; waits until that can be told."""
        while (stored := self._options.known([event])) is None and not self._ended():
            self._pause(self._options.poll)
        return bool(stored)

    def _first(self, path: Path) -> tuple[Picture | None, str | None]:
        """Return the first picture of a file, and what is wrong with any of them; None: the file is gone."""
        pictures = pictures_of(path, self._reading)
        first = next(pictures)
        wrong = first.error or next((picture.error for picture in pictures if picture.error is not None), None)
        return (first if path.exists() else None), wrong

    def _frame(
        self,
        stem: str,
        picture: Picture | None = None,
        path: Path | None = None,
        error: str | None = None,
        captured: datetime | None = None,
        taken_s: float | None = None,
        event: str | None = None,
    ) -> Frame:
        number, self._number = self._number, self._number + 1
        now = self._clock()
        return Frame(
            self.name,
            number,
            f"{stem}-{number}",
            image=None if picture is None else picture.image,
            error=error,
            path=path,
            captured=captured or datetime.now(timezone.utc),
            taken_s=now if taken_s is None else taken_s,
            page=None if picture is None else picture.page,
            size=None if picture is None else picture.size,
            event=event,
        )

    def _event(self, name: str, stamp: _Stamp, page: int) -> str:
        words = (self._options.owner, name, str(stamp.size), str(stamp.written_ns), str(page))
        return lasting_event_id(_written(stamp), words)

    def _give(self, name: str, events: tuple[str, ...]) -> None:
        """A file has been given: it is not read again as long as it does not change."""
        stamp = self._waiting.pop(name).stamp
        self._given[name] = stamp
        if self._options.done is not None:
            self._untold.append(_Given(name, stamp, events))

    def _clear_away(self) -> None:
        """Move the files whose verdicts are stored."""
        some = [self._untold[number] for number in range(min(len(self._untold), _AT_ONCE))]
        if not some or self._options.done is None:
            return
        stored = self._options.known([event for given in some for event in given.events]) or frozenset()
        for given in some:
            if not stored.issuperset(given.events):
                return
            self._untold.popleft()
            self._move(given, self._options.done)

    def _move(self, given: _Given, done: Path) -> None:
        path = self._folder / given.name
        try:
            status = path.stat()
            if _Stamp(status.st_size, status.st_mtime_ns, status.st_ino) != given.stamp:
                return  # another one by now, that is to be judged
            done.mkdir(parents=True, exist_ok=True)
            path.rename(_unused(done, path))
        except FileNotFoundError:  # somebody else took it
            return
        except OSError as error:
            self._notice(f"{self.name}: judged files stay: cannot move them to {done}: {error.strerror or error}")


def _written(stamp: _Stamp) -> datetime:
    return datetime.fromtimestamp(min(max(stamp.written_ns / 1e9, 0.0), _LATEST), timezone.utc)


def _unused(folder: Path, path: Path) -> Path:
    place, number = folder / path.name, 1
    while place.exists():
        number += 1
        place = folder / f"{path.stem}-{number}{path.suffix}"
    return place
