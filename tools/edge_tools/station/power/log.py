"""What recorder.c wrote down, as steps: one call that changed something below a folder, in the order of the calls."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_runtime.errors import UsageError

__all__ = ["Step", "build_recorder", "read_log", "recording"]

Kind = Literal["open", "write", "truncate", "sync", "rename", "remove", "folder", "link"]

_ENTRY = struct.Struct("<IIQIc")  # `struct entry` of recorder.c
_KINDS: dict[bytes, Kind] = {
    b"o": "open",
    b"w": "write",
    b"t": "truncate",
    b"s": "sync",
    b"r": "rename",
    b"u": "remove",
    b"m": "folder",
    b"l": "link",
}


@dataclass(frozen=True)
class Step:
    """One call.

    `handle` is what was opened (process, number); `paths` are relative to the folder: one, of a rename both. `place` is
    where `data` was written, the size of a truncated file, or 1 for a file that was emptied when it was opened. `data`
    of a link is what it leads to.
    """

    kind: Kind
    handle: tuple[int, int]
    place: int = 0
    data: bytes = b""
    paths: tuple[str, ...] = ()


def build_recorder(folder: Path) -> Path:
    """Compile recorder.c into a folder. Raises UsageError where there is no gcc."""
    if shutil.which("gcc") is None:
        raise UsageError("what a station writes is recorded by a C shim: install gcc and the C library's headers")
    made = folder / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", str(source), "-o", str(made), "-ldl"], check=True)
    return made


def recording(shim: Path, folder: Path, log: Path) -> dict[str, str]:
    """Return what a process needs in its environment for its steps in a folder to be added to a log."""
    return {"LD_PRELOAD": str(shim), "POWER_ROOT": str(folder.resolve()), "POWER_LOG": str(log.resolve())}


def read_log(log: Path, folder: Path) -> Iterator[Step]:
    """Yield the steps of a log, in order."""
    root = folder.resolve()
    with log.open("rb") as stream:
        while head := stream.read(_ENTRY.size):
            process, handle, place, length, what = _ENTRY.unpack(head)
            kind, data = _KINDS[what], stream.read(length)
            if kind in ("write", "truncate", "sync"):
                yield Step(kind, (process, handle), place, data)
            elif kind == "link":
                path, _, target = data.partition(b"\0")
                yield Step(kind, (process, handle), place, target, (os.path.relpath(os.fsdecode(path), root),))
            else:
                paths = tuple(os.path.relpath(os.fsdecode(path), root) for path in data.split(b"\0"))
                yield Step(kind, (process, handle), place, paths=paths)
