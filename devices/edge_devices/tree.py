"""The files that a machine tells about itself in: /proc, /sys, /etc, /dev, below a root that may be a recorded board's.

Nothing here raises. A file that is missing, unreadable, a pipe, a device or without an end gives "", and no more than
a limit is read of any: whoever can write one of these files must not be able to stop or fill this process.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from pathlib import Path

__all__ = ["Tree", "integer", "numbers"]

_MOST_BYTES = 256 << 10
_MOST_NAMES = 4096  # of one folder
_MOST_NUMBERS = 4096
_DIGITS = 19
_NUMBER = re.compile("([0-9]+)")


class Tree:
    """A root folder, and what was read of it so far: `read` (files' bytes) and `links`, by path below the root."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.read: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self._base = os.path.realpath(root)

    @property
    def is_this_machine(self) -> bool:
        """Tell whether this is the root of the running system, where commands can be asked too."""
        return self._base == os.path.realpath(os.sep)  # on Windows that has a drive

    def data(self, path: str, most: int = _MOST_BYTES) -> bytes:
        """Return the file's first bytes, b"" if there are none to be had."""
        found = self._data(path, most)
        if found:
            self.read[path] = found
        return found

    def text(self, path: str, most: int = _MOST_BYTES) -> str:
        """Return the file as text, without spaces, newlines and NULs around it."""
        return self.data(path, most).decode("utf-8", "replace").strip(" \t\r\n\0")

    def lines(self, path: str, most: int = _MOST_BYTES) -> list[str]:
        """Return the file's lines."""
        return self.text(path, most).splitlines()

    def number(self, path: str) -> int | None:
        """Return the whole number that the file is, which may have a minus sign."""
        text = self.text(path, 64)
        value = integer(text.removeprefix("-"))
        return -value if value is not None and text.startswith("-") else value

    def names(self, folder: str, pattern: str = "*") -> list[str]:
        """Return the names in a folder that fit a shell pattern, numbers in them in their order ("cpu2", "cpu10")."""
        place = self._inside(folder)
        if place is None:
            return []
        found = []
        try:
            with os.scandir(place) as entries:
                for entry, _ in zip(entries, range(_MOST_NAMES), strict=False):
                    if fnmatch.fnmatchcase(entry.name, pattern):
                        found.append(entry.name)
        except (OSError, ValueError):
            return []
        return sorted(found, key=_natural)

    def exists(self, path: str) -> bool:
        """Tell whether there is anything at a path. It is kept as an empty file when the tree is recorded."""
        place = self._inside(path)
        there = place is not None and os.path.lexists(place)
        if there:
            self.read.setdefault(path, b"")
        return there

    def resolved(self, path: str) -> str:
        """Return the path below the root that a path leads to with its links followed; "" if it leads nowhere."""
        place = self._inside(path)
        # A link is worth following even where nothing that was recorded lies below its target.
        if place is None or not os.path.lexists(os.path.join(self._base, path)):  # noqa: PTH118
            return ""
        found = place.removeprefix(self._base).lstrip(os.sep)
        if found != path:
            self.links[path] = os.path.relpath(found, os.path.dirname(path))  # noqa: PTH120
        return found

    def _inside(self, path: str) -> str | None:
        """The real place of a path; None if links lead out of a root that is not the system's."""
        try:
            place = os.path.realpath(os.path.join(self._base, path.lstrip(os.sep)))  # noqa: PTH118
        except (OSError, ValueError):  # a loop, a NUL
            return None
        return place if self.is_this_machine or f"{place}/".startswith(f"{self._base}/") else None

    def _data(self, path: str, most: int) -> bytes:
        place = self._inside(path)
        if place is None:
            return b""
        try:
            # Opening a device or a pipe does things already.
            if not stat.S_ISREG(os.stat(place).st_mode):  # noqa: PTH116
                return b""
            descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        except (OSError, ValueError):
            return b""
        parts: list[bytes] = []
        try:
            while most > 0 and (part := os.read(descriptor, most)):
                parts.append(part)
                most -= len(part)
        except OSError:  # sysfs: a sensor that is asleep
            pass
        finally:
            os.close(descriptor)
        return b"".join(parts)


def integer(text: str) -> int | None:
    """Return the number that plain digits are, None for everything else (and for more digits than 64 bits have)."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def numbers(text: str) -> list[int]:
    """Return the numbers of a kernel's list like "0-3,6", ascending; [] for what is no such list."""
    found: set[int] = set()
    for part in text.replace("\n", ",").split(","):
        first, dash, last = part.strip().partition("-")
        start, end = integer(first), integer(last if dash else first)
        if start is None or end is None or not start <= end < start + _MOST_NUMBERS:
            continue
        found.update(range(start, end + 1))
        if len(found) > _MOST_NUMBERS:
            break
    return sorted(found)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key in which each run of digits counts as a number; pairs, so that digits and letters compare."""
    parts = _NUMBER.split(name)
    return [(int(part[:_DIGITS]) if index % 2 else 0, "" if index % 2 else part) for index, part in enumerate(parts)]
