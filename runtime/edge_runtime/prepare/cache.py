"""The cache of prepared folders: found by key, made once however many processes want it, capped in size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edge_devices.ownership import is_ours
from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import new_folder
from edge_runtime.files.folders import CACHE_ADVICE, cache_root, make_private, trusted_cache_root
from edge_runtime.files.leftovers import is_dead
from edge_runtime.files.sizes import parse_size

if TYPE_CHECKING:
    import tempfile

__all__ = ["PreparedCache", "usual_cache"]

_CAP, _DEFAULT_CAP = "EDGELINE_CACHE_MAX", "8GB"
# What a killed process left half made (or half removed) is cleared away after a day: nobody works on it any more.
_STALE_SECONDS = 24 * 3600


class PreparedCache:
    """One process's view of the cache. Folders it asked for stay until `close`, whatever other processes do.

    `root` None: a folder of its own that `close` removes (`--no-cache`).
    """

    def __init__(self, root: Path | None, cap: int | None = None) -> None:
        """`cap` in bytes; None: $EDGELINE_CACHE_MAX, 8 GB without that.

        Raises UsageError for a cap that is no size, OutputError where no temporary folder can be made.
        """
        self.cap = _cap() if cap is None else cap
        self._own = _own_folder() if root is None else None
        self.root = Path(self._own.name) if self._own else root or cache_root()
        self._in_use: dict[str, IO[bytes]] = {}

    def folder(self, key: str) -> Path:
        """Return where the folder of `key` lies or would lie."""
        return self.root / key

    def use(self, key: str) -> Path | None:
        """Return the folder of `key` and keep it from being removed; None where there is none that can be kept."""
        if not _is_folder(self.folder(key)) or not self._is_ours(key):
            return None
        if key not in self._in_use:
            try:
                self._in_use[key] = self._shared(key)
            except (OSError, OutputError):
                return None
        # Another process may have removed it before the lock was ours.
        return self.folder(key) if _is_folder(self.folder(key)) else None

    @contextlib.contextmanager
    def making(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the right to make or extend the folder of `key`; `waiting` is called when another process has it."""
        with self._open(key, "make") as lock:
            try:
                if not _locked(lock):
                    waiting()
                    fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise OutputError(f"cannot lock the cache {self.root}: {error.strerror}; {CACHE_ADVICE}") from error
            yield

    @contextlib.contextmanager
    def new(self, key: str) -> Iterator[Path]:
        """Yield an empty folder that becomes that of `key` when the block ends well; hold `making` around it."""
        with new_folder(self.folder(key)) as folder:
            yield folder
        self.shrink(keep=key)

    def shrink(self, keep: str) -> None:
        """Remove the folders that were not used for longest until the cache fits its cap; those in use stay."""
        self._clear_stale()
        sizes = {path.name: _size(path) for path in self.root.iterdir() if path.is_dir() and path.name[0] != "."}
        total = sum(sizes.values())
        for key in sorted(sizes, key=self._last_use):
            if total <= self.cap:
                return
            if key != keep and self._remove(key):
                total -= sizes[key]

    def close(self) -> None:
        """Let go of every folder."""
        for lock in self._in_use.values():
            lock.close()
        self._in_use.clear()
        if self._own is not None:
            self._own.cleanup()

    def _open(self, key: str, kind: str) -> IO[bytes]:
        try:
            make_private(self.root)
            return self._lock_file(key, kind).open("ab")
        except OSError as error:
            raise OutputError(f"cannot write the cache {self.root}: {error.strerror}; {CACHE_ADVICE}") from error

    def _shared(self, key: str) -> IO[bytes]:
        """Say that a folder is in use now; a cache that somebody else fills may be one to read only."""
        try:
            lock = self._open(key, "use")
        except OutputError:
            lock = self._lock_file(key, "use").open("rb")
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
        except BaseException:
            lock.close()
            raise
        with contextlib.suppress(OSError):
            os.utime(lock.name)
        return lock

    def _is_ours(self, key: str) -> bool:
        """Whether nobody else can have written into a folder: what lies there is run."""
        try:
            return is_ours(self.folder(key).stat()) and _all_ours(self.folder(key))
        except OSError:
            return False

    def _lock_file(self, key: str, kind: str) -> Path:
        return self.root / f".{key}.{kind}"

    def _last_use(self, key: str) -> float:
        try:
            return self._lock_file(key, "use").stat().st_mtime
        except OSError:
            return 0.0

    def _remove(self, key: str) -> bool:
        """Remove one folder; False where it is in use or cannot be removed."""
        aside = self.root / f".{key}.{os.urandom(4).hex()}.old"
        with self._open(key, "use") as lock:
            try:
                if not _locked(lock):
                    return False
                # In one step: half a folder would be taken for a whole one if this process were killed now.
                self.folder(key).rename(aside)
            except OSError:
                return False
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def _clear_stale(self) -> None:
        """Remove the unfinished folders of processes that are gone."""
        oldest = time.time() - _STALE_SECONDS
        for path in self.root.glob(".*"):
            with contextlib.suppress(OSError):
                old = path.suffix in (".tmp", ".old") and path.is_dir() and path.stat().st_mtime < oldest
                if old and is_dead(path):  # the clock may have been set
                    shutil.rmtree(path, ignore_errors=True)


def usual_cache() -> PreparedCache:
    """Return the user's cache. Raises OutputError where there is no place for one, or one that cannot be trusted."""
    return PreparedCache(trusted_cache_root())


def _cap() -> int:
    text = os.environ.get(_CAP, _DEFAULT_CAP)
    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(f"the environment's {_CAP} is no size: {error}") from error


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    # /tmp lies in memory on many boards, which a memory limit would be charged for; /var/tmp is for large files.
    large = None if "TMPDIR" in os.environ or not os.access("/var/tmp", os.W_OK) else "/var/tmp"
    import tempfile  # for --no-cache alone

    try:
        return tempfile.TemporaryDirectory(prefix="edgeline-prepared-", dir=large, ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(f"cannot make a temporary folder: {error.strerror}; set TMPDIR to one") from error


def _all_ours(folder: str | os.PathLike[str]) -> bool:
    """Whether everything inside is. Raises OSError."""
    with os.scandir(folder) as entries:
        return all(is_ours(entry.stat()) and (not entry.is_dir() or _all_ours(entry)) for entry in entries)


def _locked(lock: IO[bytes]) -> bool:
    """Lock it for this process alone; False when another one has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # one that may not be looked into
        return False


def _size(folder: Path) -> int:
    """The bytes of its files; what another process removes meanwhile does not count."""
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.stat().st_size
    return total
