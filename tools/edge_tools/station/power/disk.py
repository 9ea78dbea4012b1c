"""What a disk holds while a process writes, and what it may hold once the power is cut.

Surely there is what was flushed: the bytes of a file by fsync of the file, its name by fsync of its folder. Of the rest
anything may be there: each write whole, in part (sectors of 512 bytes) or not at all, whatever came before or after it;
of the names in a folder the first changes up to some. That is harsher than a journaling file system.
"""

from __future__ import annotations

import posixpath
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_tools.station.power.log import Step

__all__ = ["Disk"]

_SECTOR = 512


@dataclass(eq=False)
class _File:
    """A file's bytes: as a process reads them, as they are surely on the disk, and the steps in between.

    `link`: what a symbolic link leads to, which is there as soon as its name is.
    """

    seen: bytearray = field(default_factory=bytearray)
    sure: bytearray = field(default_factory=bytearray)
    unsure: list[Step] = field(default_factory=list)
    link: str = ""

    def add(self, step: Step) -> None:
        _apply(self.seen, step)
        self.unsure.append(step)

    def flush(self) -> None:
        self.sure = bytearray(self.seen)
        self.unsure.clear()


@dataclass(frozen=True)
class _Change:
    """A change of names that is not flushed: `file` gets the name, None takes it away; `old` is a rename's other.

    With a folder what lies in it is renamed.
    """

    name: str
    file: _File | None
    old: str = ""

    def apply(self, names: dict[str, _File | None]) -> None:
        if self.old:
            names.pop(self.old, None)
            for name in [name for name in names if self.holds(name)]:
                names[self.moved(name)] = names.pop(name)
        if self.file is None:
            names.pop(self.name, None)
        else:
            names[self.name] = self.file

    def holds(self, name: str) -> bool:
        """Whether a name lies in the folder that is renamed."""
        return bool(self.old) and name.startswith(f"{self.old}/")

    def moved(self, name: str) -> str:
        """Such a name afterwards."""
        return f"{self.name}{name[len(self.old) :]}"


_FOLDER = _File()


class Disk:
    """Follows the steps of a log; paths are relative to the folder that was recorded, which was empty or `first`."""

    def __init__(self, first: Path | None = None) -> None:
        self._seen: dict[str, _File | None] = {".": _FOLDER}
        self._open: dict[tuple[int, int], tuple[str, _File]] = {}
        for path in sorted(first.rglob("*")) if first else ():
            made = _FOLDER if path.is_dir() else _File(bytearray(path.read_bytes()), bytearray(path.read_bytes()))
            self._seen[path.relative_to(first or path).as_posix()] = made
        self._sure = dict(self._seen)
        self._changes: list[_Change] = []

    def follow(self, step: Step) -> None:
        """Take the next step."""
        if step.kind == "open":
            self._opened(step)
        elif step.kind == "sync":
            self._flushed(*self._open[step.handle])
        elif step.kind in ("write", "truncate"):
            self._open[step.handle][1].add(step)
        elif step.kind == "link":
            self._change(_Change(step.paths[0], _File(link=step.data.decode())))
        elif step.kind == "folder":
            self._change(_Change(step.paths[0], _FOLDER))
        elif step.kind == "remove":
            self._change(_Change(step.paths[0], None))
        else:
            old, new = step.paths
            self._change(_Change(new, self._seen.get(old), old))

    def seen(self, name: str) -> bytes:
        """Return a file as another process reads it now; of one that is not there nothing."""
        found = self._seen.get(name)
        return bytes(found.seen) if found else b""

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Write what a power cut now may leave into an empty folder."""
        names = dict(self._sure)
        keep = chance.choice((0, len(self._changes), chance.randint(0, len(self._changes))))
        for change in self._changes[:keep]:
            change.apply(names)
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        for name, file in sorted(names.items()):
            if file is None or not (folder / name).parent.is_dir():
                continue
            if file is _FOLDER:
                (folder / name).mkdir(exist_ok=True)
            elif file.link:
                (folder / name).symlink_to(file.link)
            else:
                (folder / name).write_bytes(_left(file, share, chance))

    def _opened(self, step: Step) -> None:
        (name,) = step.paths
        file = self._seen.get(name)
        if file is None:
            file = _File()
            self._change(_Change(name, file))
        self._open[step.handle] = (name, file)
        if step.place and file.seen:
            file.add(Step("truncate", step.handle, 0))

    def _change(self, change: _Change) -> None:
        change.apply(self._seen)
        self._changes.append(change)

    def _flushed(self, name: str, file: _File) -> None:
        if file is not _FOLDER:
            file.flush()
            return
        left: list[_Change] = []
        for change in self._changes:
            if posixpath.dirname(change.name) == ("" if name == "." else name):
                change.apply(self._sure)
                left = [replace(one, name=change.moved(one.name)) if change.holds(one.name) else one for one in left]
            else:
                left.append(change)
        self._changes = left


def _apply(data: bytearray, step: Step) -> None:
    end = step.place + len(step.data) if step.kind == "write" else step.place
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    if step.kind == "write":
        data[step.place : end] = step.data
    else:
        del data[end:]


def _left(file: _File, share: float, chance: random.Random) -> bytes:
    """The bytes that a cut leaves of a file: about that share of its unsure steps."""
    data = bytearray(file.sure)
    for step in file.unsure:
        if chance.random() < share:
            _apply(data, step)
        elif step.kind == "write" and chance.random() < 0.5:
            for piece in _pieces(step):
                if chance.random() < 0.5:
                    _apply(data, piece)
    # A file's length may be on the disk before its bytes are.
    if chance.random() < 0.3 and len(data) < len(file.seen):
        data.extend(bytes(len(file.seen) - len(data)))
    return bytes(data)


def _pieces(step: Step) -> list[Step]:
    """A write's part of each sector."""
    end = step.place + len(step.data)
    starts = [step.place, *range((step.place // _SECTOR + 1) * _SECTOR, end, _SECTOR)]
    return [
        Step("write", step.handle, start, step.data[start - step.place : stop - step.place])
        for start, stop in zip(starts, [*starts[1:], end], strict=True)
    ]
