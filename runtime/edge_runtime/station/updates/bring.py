"""What is to be the next version, wherever it lies, becomes a folder of our own that nobody else writes into."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from edge_runtime.errors import BundleError, SourceError, UsageError
from edge_runtime.files.atomic import writing
from edge_runtime.inspect.address import masked
from edge_runtime.station.updates.unpack import MOST_BYTES, MOST_FILES, copy_stream, unpack

__all__ = ["Update", "bring", "fetch", "open_update"]

_PATIENCE_S = 60.0
_WEB = ("http://", "https://")


class Update:
    """An update as it was named: a folder, an archive that is open, or a URL."""

    def __init__(self, text: str, archive: IO[bytes] | None) -> None:
        self.text, self.archive = text, archive

    @property
    def shown(self) -> str:
        """Its name without passwords."""
        return masked(self.text)

    def close(self) -> None:
        """Let go of the archive."""
        if self.archive is not None:
            self.archive.close()


def open_update(text: str) -> Update:
    """Open an archive now, by the rights that there are now; who calls closes. Raises UsageError."""
    if text.lower().startswith(_WEB) or Path(text).is_dir():
        return Update(text, None)
    try:
        descriptor = os.open(text, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UsageError(f"{text} is no plain file; name a bundle's folder, an archive of it, or a URL")
        return Update(text, os.fdopen(descriptor, "rb"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {text}: {why}; name a bundle's folder, an archive of it, or a URL") from error


def bring(update: Update, folder: Path) -> None:
    """Write an update's files into a folder that is not there yet.

    Raises BundleError for what is no bundle, SourceError for a URL that gives nothing, OutputError.
    """
    with writing(folder):
        folder.mkdir()
    if update.archive is not None:
        unpack(update.archive, update.shown, folder)
    elif update.text.lower().startswith(_WEB):
        archive = folder / ".archive"
        fetch(update.text, archive)
        with archive.open("rb") as stream:
            unpack(stream, update.shown, folder)
        archive.unlink()
    else:
        _copy(Path(update.text), folder)


def _copy(source: Path, folder: Path) -> None:
    """Copy a folder's files; what they are is checked in the copy."""
    left = MOST_BYTES
    try:
        entries = sorted(entry.name for entry in os.scandir(source))
    except OSError as error:
        raise BundleError(f"cannot look into {source}: {error.strerror}") from error
    if len(entries) > MOST_FILES:
        raise BundleError(f"{source} holds {len(entries)} files; at most {MOST_FILES} are taken for a bundle")
    for name in entries:
        try:
            descriptor = os.open(source / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise BundleError(f"cannot read {source / name}: {error.strerror}; a bundle holds plain files") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BundleError(f"{source / name} is no plain file: a bundle holds no links, folders or devices")
        with os.fdopen(descriptor, "rb") as stream:
            left -= copy_stream(stream, folder / name, left, str(source))


def fetch(url: str, target: Path, headers: Mapping[str, str] | None = None) -> None:
    """Write what a URL of http or https gives into a new file. Raises SourceError, BundleError, OutputError."""
    shown = masked(url)
    with contextlib.ExitStack() as cleanup:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "edgeline", **(headers or {})})
            answer = cleanup.enter_context(_opener().open(request, timeout=_PATIENCE_S))
            declared = answer.headers.get("Content-Length", "")
            expected = int(declared) if declared.isdigit() else None
            if expected is not None and expected > MOST_BYTES:
                raise BundleError(f"{shown} has {expected} bytes; at most {MOST_BYTES} are taken for a bundle")
            size = copy_stream(_Answer(answer, shown), target, MOST_BYTES, shown)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SourceError(
                f"cannot get {shown}: {error}; see that the address is right and the server is there"
            ) from error
    if expected is not None and size != expected:
        raise SourceError(f"{shown} gave {size} of {expected} bytes; try again")


class _Answer:
    """What a server sends; that it does not is no fault of the disk that is written to."""

    def __init__(self, answer: IO[bytes], shown: str) -> None:
        self._answer, self._shown = answer, shown

    def read(self, size: int = -1) -> bytes:
        try:
            return self._answer.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(f"cannot get all of {self._shown}: {error}; try again") from error


def _opener() -> urllib.request.OpenerDirector:
    """What opens http and https, and follows redirects to those alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
