"""Events as lines of a file. The file knows which was its last: each event is in it once, whatever was killed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.errors import OutputError
from edge_runtime.files.atomic import lasting_folder, sync_path
from edge_runtime.inspect.record import to_line
from edge_runtime.outputs.base import published
from edge_runtime.outputs.settings import JsonLines
from edge_runtime.store.reading import Stored

__all__ = ["JsonLinesOutput", "open_json_lines"]

_SYNC_S = 1.0
_CHUNK = 64 << 10
_UNSURE = 2 << 20  # most bytes that are not flushed: so many at the end may be damaged after a power cut


class JsonLinesOutput:
    """Adds lines to a file. A line that a kill tore is cut at the start; a file that was moved away begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._identity = (0, 0)
        self._synced = 0.0
        self._unsure = 0

    def delivered(self) -> str | None:
        """Cut what a kill or a power cut damaged off the end, and return the event of the last line."""
        try:
            self._open()
            end = _end_of_lines(self._descriptor)
            line = _last_line(self._descriptor, end)
            last = self._event_of(line) if line else None
            if not line and os.pread(self._descriptor, 1, 0) not in (b"", b"{", b"\0"):
                raise self._foreign()
            if end < os.fstat(self._descriptor).st_size:
                os.ftruncate(self._descriptor, end)
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._refusal(error) from error
        return last

    def _event_of(self, line: bytes) -> str:
        try:
            return str(json.loads(line)["event_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._foreign() from error

    def _foreign(self) -> OutputError:
        return OutputError(f"{self._path} does not end with an event, so it is no file of ours; name another for jsonl")

    def send(self, events: Sequence[Stored]) -> int:
        """Add their lines at once."""
        data = b"".join(to_line(published(event)).encode() + b"\n" for event in events)
        try:
            self._open()
            start = os.fstat(self._descriptor).st_size
            try:
                self._write(data)
            except OSError:
                os.ftruncate(self._descriptor, start)  # no half of them: they come again
                raise
            if start == 0 or time.monotonic() - self._synced > _SYNC_S:
                self._sync()
        except OSError as error:
            raise self._refusal(error) from error
        return len(events)

    def close(self) -> None:
        """Bring the last lines to the disk."""
        if self._descriptor >= 0:
            try:
                self._sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def _open(self) -> None:
        """Open the file, anew where another is there by now (logrotate) or none."""
        if self._descriptor >= 0:
            try:
                found = self._path.stat()
            except FileNotFoundError:
                found = None
            if found is not None and (found.st_dev, found.st_ino) == self._identity:
                return
            self.close()
        lasting_folder(self._path.parent)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._synced = 0.0
        status = os.fstat(self._descriptor)
        self._identity = (status.st_dev, status.st_ino)

    def _write(self, data: bytes) -> None:
        while data:
            done = os.write(self._descriptor, data[: _UNSURE - self._unsure])
            data, self._unsure = data[done:], self._unsure + done
            if self._unsure >= _UNSURE:
                self._sync()

    def _sync(self) -> None:
        os.fsync(self._descriptor)
        self._unsure = 0
        if not self._synced:
            sync_path(self._path.parent)
        self._synced = time.monotonic()

    def _refusal(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self._path}: {error.strerror or error}")


def _end_of_lines(descriptor: int) -> int:
    """Return where the last whole line ends, before any that a power cut damaged.

    Of bytes that were not flushed a file system leaves any, and zeros in place of others, also between two whole lines.
    """
    size = os.fstat(descriptor).st_size
    start = max(0, size - 2 * _UNSURE)
    zeros = os.pread(descriptor, size - start, start).find(b"\0")
    place = size if zeros < 0 else start + zeros
    while place > 0:
        start = max(0, place - _CHUNK)
        found = os.pread(descriptor, place - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        place = start
    return 0


def _last_line(descriptor: int, end: int) -> bytes:
    """Return the line that ends at `end`, without its end."""
    line, place = b"", end
    while place > 0:
        start = max(0, place - _CHUNK)
        line = os.pread(descriptor, place - start, start) + line
        if (found := line.rfind(b"\n", 0, len(line) - 1)) >= 0:
            return line[found + 1 : -1]
        place = start
    return line[:-1]


def open_json_lines(settings: JsonLines) -> JsonLinesOutput:
    """Open what `jsonl:` asks for."""
    return JsonLinesOutput(settings.path)
