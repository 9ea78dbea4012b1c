"""What is put into an inbox is taken for an update: FOLDER/inbox, where somebody made one.

A file or folder that has not changed for a while is handed to `edge-station update`, in a process of its own. What was
taken is removed; what was refused is called NAME.refused, with NAME.refused.txt beside it that says why.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.errors import OutputError
from edge_runtime.files.atomic import write_text
from edge_runtime.station.updates.versions import Versions

__all__ = ["Inbox", "take"]

_EVERY_S = 2.0
_UNFINISHED = (".tmp", ".part", ".filepart", "~")
_REFUSED = (".refused", ".refused.txt")
Say = Callable[[str], None]


class Inbox:
    """Looks into the inboxes of folders, in a thread of its own, until it is closed."""

    def __init__(
        self, folders: Callable[[], Iterable[Versions]], flags: Sequence[str], say: Say, every_s: float = _EVERY_S
    ) -> None:
        """`folders` is asked each time; `flags`: those of edge-station update."""
        self._folders, self._flags, self._say, self._every = folders, flags, say, every_s
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgeline-inbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End. An update that is under way ends by itself."""
        self._end.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._end.wait(self._every):
            for folder in self._folders():
                for path in self._settled(folder):
                    if not self._end.is_set():
                        self._take(folder, path)

    def _settled(self, folder: Versions) -> list[Path]:
        """What has not changed since it was last looked at."""
        found: dict[Path, tuple[int, int, int]] = {}
        with contextlib.suppress(OSError):
            for entry in sorted(folder.inbox.iterdir()):
                name = entry.name
                if not name.startswith(".") and not name.endswith(_UNFINISHED) and not name.endswith(_REFUSED):
                    found[entry] = _stamp(entry)
        same = [path for path, stamp in found.items() if self._seen.get(path) == stamp]
        self._seen = {path: stamp for path, stamp in self._seen.items() if path.parent != folder.inbox} | found
        return same

    def _take(self, folder: Versions, path: Path) -> None:
        command = python_module("edge_runtime.cli.station", "update", str(path), "--in", str(folder.root), *self._flags)
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=python_environment(),
        )
        while True:
            try:
                _, said = child.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                if self._end.is_set():  # whoever starts next takes it again
                    child.terminate()
                    child.wait()
                    return
        why = " ".join(said.strip().splitlines()[-1:]).removeprefix("error: ")
        if child.returncode:
            self._say(f"{path.name} of {folder.inbox} is REFUSED: {why}")
        else:
            self._say(f"{path.name} of {folder.inbox} was taken")
        with contextlib.suppress(OSError, OutputError):
            take(path, why if child.returncode else "")


def take(path: Path, why: str) -> None:
    """Take an update out of its inbox; `why` it was refused, "" where it was not. Raises OSError, OutputError."""
    if why:
        target = path.with_name(f"{path.name}.refused")
        _remove(target)
        path.rename(target)
        write_text(path.with_name(f"{path.name}.refused.txt"), f"{why}\n")
    else:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int, int]:
    """How many files there are, of how many bytes, and when the last was written."""
    files = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    found = [os.lstat(file) for file in files]
    return len(found), sum(status.st_size for status in found), max(status.st_mtime_ns for status in found)
