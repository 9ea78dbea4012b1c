"""How fast files can be read: past the page cache, as far as the system lets us, or through it."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["CHUNK", "brief_speed", "read_speed"]

CHUNK = 4 << 20
_BRIEF_BYTES, _BRIEF_SECONDS = 64 << 20, 0.5


def brief_speed(file: Path) -> float | None:
    """Return the bytes per second that a file is read with from its disk, in at most 0.5 s and 64 MB.

    None for a file that cannot be read, is no file, or is smaller than 4 MB: that would measure the start.
    """
    try:
        if not file.is_file():
            return None
        return read_speed([file], True, _BRIEF_BYTES, _BRIEF_SECONDS) or None
    except (OSError, ValueError):
        return None


def read_speed(files: Sequence[Path], cold: bool, most_bytes: int, most_seconds: float) -> float:
    """Return the bytes per second that the files are read with in turn; 0.0 if that is less than one chunk.

    `cold`: past the page cache where the file system can (O_DIRECT), else after asking for the file's pages to be
    dropped. Raises OSError, with its `filename`, for a file that cannot be read.
    """
    with mmap.mmap(-1, CHUNK) as buffer:  # direct reads want memory that begins at a page
        done, spent = 0, 0.0
        for path in files:
            descriptor, direct = _open(path, cold)
            try:
                if cold and not direct and hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                position = 0
                while spent < most_seconds and done < most_bytes:
                    started = time.perf_counter()
                    count = os.preadv(descriptor, [buffer], position)
                    spent += time.perf_counter() - started
                    done += count
                    position += count
                    if count < CHUNK:  # the end; a direct read may only begin at whole units
                        break
            except OSError as error:
                if not direct:
                    error.filename = str(path)
                    raise
            finally:
                os.close(descriptor)
    return done / spent if spent and done >= CHUNK else 0.0


def _open(path: Path, direct: bool) -> tuple[int, bool]:
    if direct and hasattr(os, "O_DIRECT"):
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECT), True
        except OSError:  # a file system without direct reads
            pass
    return os.open(path, os.O_RDONLY), False
