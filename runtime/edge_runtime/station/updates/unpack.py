"""An archive of a bundle, read as a hostile file is: plain files of one folder, within budgets of bytes and of memory.

Taken are .tar, .tar.gz and .zip. What is written is counted, whatever headers claim; so is what is read of headers, at
once and in all, for tar's and zip's own readers take as much memory as an archive says.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from edge_runtime.errors import BundleError
from edge_runtime.files.atomic import writing

__all__ = ["MOST_BYTES", "MOST_FILES", "Readable", "copy_stream", "unpack"]

MOST_BYTES = 4 << 30  # of one bundle
MOST_FILES = 4200
_MOST_READ, _MOST_HEADERS = 1 << 20, 16 << 20
_CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of others one chunk may become gigabytes
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, gzip.BadGzipFile),
    *(EOFError, OSError, ValueError, RuntimeError, NotImplementedError, LookupError, OverflowError),
)


@dataclass(frozen=True)
class _Member:
    name: str
    open: Callable[[], IO[bytes]]
    archive: _Bounded


def unpack(archive: IO[bytes], shown: str, folder: Path) -> None:
    """Write an archive's files into an empty folder. Raises BundleError for one that is no bundle's, OutputError.

    `archive` can be sought in.
    """
    left = MOST_BYTES
    names: set[str] = set()
    with contextlib.ExitStack() as cleanup:
        members = _members(archive, shown, cleanup)
        while (member := _next(members, shown)) is not None:
            if member.name in names:
                raise BundleError(f"{shown} holds {member.name!r} twice; do not use it")
            names.add(member.name)
            left -= copy_stream(_Content(member, shown), folder / member.name, left, shown)
    if not names:
        raise BundleError(f"{shown} holds no file, expected those of a bundle (NAME.edge)")


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int = ..., /) -> bytes:
        """The next ones, `size` at most; b"" at the end."""
        ...


def copy_stream(stream: Readable, target: Path, most: int, shown: str) -> int:
    """Write a stream into a new file and return its bytes. Raises BundleError for more than `most`, OutputError."""
    size = 0
    with writing(target), target.open("xb") as file:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise BundleError(f"{shown} has more than {MOST_BYTES} bytes; at most so many are taken for a bundle")
            file.write(chunk)
    return size


class _Content:
    """A member's bytes; what is wrong with the archive is told as that, and not as a disk that cannot be written."""

    def __init__(self, member: _Member, shown: str) -> None:
        self._member, self._shown = member, shown
        self._stream: IO[bytes] | None = None

    def read(self, size: int = -1) -> bytes:
        self._member.archive.header = False
        try:
            self._stream = self._stream or self._member.open()
            return self._stream.read(size)
        except _BROKEN as error:
            raise _broken(self._shown, error) from error
        finally:
            self._member.archive.header = True


def _next(members: Iterator[_Member], shown: str) -> _Member | None:
    try:
        return next(members, None)
    except _BROKEN as error:
        raise _broken(shown, error) from error


def _broken(shown: str, error: Exception) -> BundleError:
    return BundleError(
        f"{shown} is damaged, or no archive of a bundle ({error}); make it with tar or zip, copy it again"
    )


def _members(archive: IO[bytes], shown: str, cleanup: contextlib.ExitStack) -> Iterator[_Member]:
    head = archive.read(512)
    archive.seek(0)
    bounded = _Bounded(archive, shown)
    if head[:4] == b"PK\x03\x04":
        found = _in_zip(bounded, cleanup)
    elif head[:2] == b"\x1f\x8b":
        bounded = _Bounded(cast("IO[bytes]", cleanup.enter_context(gzip.GzipFile(fileobj=archive))), shown)
        found = _in_tar(bounded, cleanup)
    elif head[257:262] == b"ustar":
        found = _in_tar(bounded, cleanup)
    else:
        raise BundleError(f"{shown} is no archive that is read here, expected .tar, .tar.gz or .zip of a bundle")
    top: set[str] = set()
    for count, (path, kind, opened) in enumerate(found, 1):
        if count > MOST_FILES:
            raise BundleError(f"{shown} holds more than {MOST_FILES} files; at most so many are taken for a bundle")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        bad = path.startswith("/") or any(not _NAME.fullmatch(part) for part in parts)
        if bad or len(parts) > 2 or kind == "other" or (kind == "folder" and len(parts) > 1):
            raise BundleError(f"{shown} holds {path[:200]!r}, expected plain files of one folder; do not use it")
        if kind == "folder" or not parts:
            continue
        top.add("/".join(parts[:-1]))
        if len(top) > 1:
            raise BundleError(f"{shown} holds files of several folders, expected one bundle")
        yield _Member(parts[-1], opened, bounded)


def _in_tar(archive: _Bounded, cleanup: contextlib.ExitStack) -> Iterator[tuple[str, str, Callable[[], IO[bytes]]]]:
    tar = cleanup.enter_context(tarfile.TarFile(fileobj=cast("IO[bytes]", archive)))
    for member in tar:
        plain = member.isreg() and not member.issparse()
        yield member.name, "file" if plain else "folder" if member.isdir() else "other", _opening(tar, member)


def _opening(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    return lambda: tar.extractfile(member) or io.BytesIO()


def _in_zip(archive: _Bounded, cleanup: contextlib.ExitStack) -> Iterator[tuple[str, str, Callable[[], IO[bytes]]]]:
    found = cleanup.enter_context(zipfile.ZipFile(cast("IO[bytes]", archive)))
    for info in found.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on a Unix
        plain = kind in (0, stat.S_IFREG) and info.compress_type in _ZIP_METHODS and not info.flag_bits & 1
        yield info.filename, "folder" if info.is_dir() else "file" if plain else "other", _zipped(found, info)


def _zipped(found: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: found.open(info)


class _Bounded:
    """A file whose reads are short, and whose end is near: else the archive claims what no bundle needs.

    `header`: what is read now is none of a member's own bytes, and is kept in memory.
    """

    def __init__(self, file: IO[bytes], shown: str) -> None:
        self._file, self._shown = file, shown
        self.header, self._headers = True, 0

    def read(self, size: int = -1) -> bytes:
        wanted = _MOST_READ + 1 if size is None or size < 0 else size
        if wanted > _MOST_READ + 1:
            raise BundleError(f"{self._shown} has a header of {size} bytes; do not use it")
        data = self._file.read(wanted)
        if len(data) > _MOST_READ:
            raise BundleError(f"{self._shown} has a header of more than {_MOST_READ} bytes; do not use it")
        self._headers += len(data) if self.header else 0
        if self._headers > _MOST_HEADERS:
            raise BundleError(f"{self._shown} has headers of more than {_MOST_HEADERS} bytes; do not use it")
        return data

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if place > MOST_BYTES + (64 << 20):
            raise BundleError(f"{self._shown} claims {place} bytes; at most {MOST_BYTES} are taken for a bundle")
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """The file is its owner's."""
