"""How fast this machine's storage is, measured on the files that will be read."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from edge_devices import usable_cores
from edge_runtime.blocks.arena import Arena
from edge_runtime.errors import EngineError
from edge_runtime.plan.measurements import Speeds

__all__ = ["measure_speeds"]

_CHUNK = 4 << 20
_MOST_BYTES, _MOST_SECONDS = 128 << 20, 2.0
# Taken where there is nothing to read: an SD card's and a memory's order of magnitude.
_DEFAULT_READ, _DEFAULT_CACHED = 40e6, 2e9


def measure_speeds(files: Sequence[Path]) -> Speeds:
    """Read the files past the page cache, as far as the system lets us, and twice through it; at most 2 s each.

    Raises EngineError for a file that cannot be read.
    """
    return Speeds(
        read_bytes_per_s=_speed(files, cold=True) or _DEFAULT_READ,
        # The first time they may come from storage, and are in the page cache only then.
        cached_bytes_per_s=max(_speed(files, cold=False), _speed(files, cold=False)) or _DEFAULT_CACHED,
        cores=usable_cores(),
    )


def _speed(files: Sequence[Path], cold: bool) -> float:
    buffer = Arena(_CHUNK).view(0, "uint8", (_CHUNK,))
    done, spent = 0, 0.0
    for path in files:
        try:
            descriptor, direct = _open(path, cold)
        except OSError as error:
            raise EngineError(f"cannot read {path}: {error.strerror}; check the storage") from error
        try:
            if cold and not direct and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            position = 0
            while spent < _MOST_SECONDS and done < _MOST_BYTES:
                started = time.perf_counter()
                count = os.preadv(descriptor, [buffer.data], position)
                spent += time.perf_counter() - started
                done += count
                position += count
                if count < _CHUNK:  # the end; a direct read may only begin at whole units
                    break
        except OSError as error:
            if not direct:
                raise EngineError(f"cannot read {path}: {error.strerror}; check the storage") from error
        finally:
            os.close(descriptor)
    return done / spent if spent and done >= _CHUNK else 0.0


def _open(path: Path, direct: bool) -> tuple[int, bool]:
    if direct and hasattr(os, "O_DIRECT"):
        try:
            return os.open(path, os.O_RDONLY | os.O_DIRECT), True
        except OSError:  # a file system without direct reads
            pass
    return os.open(path, os.O_RDONLY), False
