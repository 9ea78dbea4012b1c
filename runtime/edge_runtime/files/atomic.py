"""Files that survive a power cut: temp file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.errors import OutputError
from edge_runtime.files.leftovers import clear_leftovers, make_held

__all__ = [
    "crc32_file",
    "file_stamp",
    "lasting_folder",
    "new_folder",
    "sha256_file",
    "sync_path",
    "write_bytes",
    "write_link",
    "write_text",
    "writing",
]

_CHUNK, _PIECE = 1 << 20, 256 << 10
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def crc32_file(path: Path, offset: int = 0, size: int | None = None) -> int:
    """Return the CRC-32 of `size` bytes of a file from `offset` on (None: to its end), read in pieces of 256 KiB into
    one buffer. Raises OSError.
    """
    found, piece, left = 0, memoryview(bytearray(_PIECE)), size
    with path.open("rb", buffering=0) as stream:
        stream.seek(offset)
        while count := stream.readinto(piece if left is None else piece[:left]):
            found = zlib.crc32(piece[:count], found)
            if left is not None:
                left -= count
    return found


def file_stamp(path: Path) -> str:
    """Return a file's size, modification time and identity: the same again is the same file. Raises OSError."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"


def sync_path(path: Path | str) -> None:
    """Flush a file's or a folder's data to the storage device."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lasting_folder(path: Path) -> None:
    """Create a folder and its parents where they are not there, such that a power cut leaves them. Raises OSError."""
    if path.is_dir():  # nearly always
        return
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for parent in missing:
        sync_path(parent.parent)


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Turn the operating system's refusal to write into an OutputError that names the path."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another --output"
        ) from error


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file atomically: readers see the old content or the new, never a part of it.

    Whoever writes a file of a new name for each part, for months, names it by a text: a Path has its names interned,
    and once so many came and went CPython makes the table of all interned strings anew (2 MB, in any thread).
    """
    target = os.fspath(path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.tmp")
    with writing(path):
        try:
            with open(temporary, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
            sync_path(folder or os.curdir)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_link(path: Path, target: str) -> None:
    """Have a symbolic link lead to `target`, atomically: at every instant it leads to the old one or to the new."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    with writing(path):
        try:
            temporary.symlink_to(target)
            temporary.replace(path)
            sync_path(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a sibling temp folder that becomes `target` when the block ends well, and vanishes when not.

    An older `target` is replaced as a whole; it stays untouched until the new one is complete on disk. What killed
    processes left of making it is removed.
    """
    target = target.absolute()  # "." has no name of its own
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    retired = target.with_name(f".{target.name}.{os.urandom(4).hex()}.old")
    clear_leftovers(target)
    with writing(target):
        held = make_held(temporary)
    try:
        yield temporary
        with writing(target):
            for path in sorted(temporary.rglob("*")):
                sync_path(path)
            sync_path(temporary)
            if not _exchange(temporary, target):
                if target.exists():
                    target.rename(retired)
                temporary.rename(target)
            sync_path(target.parent)
    except OSError as error:
        with writing(target):
            raise error
    finally:
        # Whatever came between the two renames, Ctrl-C included, the older folder goes back before anything is removed.
        if retired.exists() and not target.exists():
            retired.rename(target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)
        os.close(held)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step, so that no power cut comes between; False where the system cannot (renameat2(2))."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:  # not Linux, or a C library that does not know the call
        return False
    done: int = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return done == 0
