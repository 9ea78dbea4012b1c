"""How fast this machine's storage is, measured on the files that will be read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edge_devices import read_speed, usable_cores
from edge_runtime.errors import EngineError
from edge_runtime.plan.measurements import Speeds

__all__ = ["measure_speeds"]

_MOST_BYTES, _MOST_SECONDS = 128 << 20, 2.0
# Taken where there is nothing to read: an SD card's and a memory's order of magnitude.
_DEFAULT_READ, _DEFAULT_CACHED = 40e6, 2e9


def measure_speeds(files: Sequence[Path]) -> Speeds:
    """Read the files past the page cache, as far as the system lets us, and twice through it; at most 2 s each.

    Raises EngineError for a file that cannot be read.
    """
    started, busy = time.perf_counter(), time.thread_time()
    cold = _speed(files, cold=True)
    spent, busy = time.perf_counter() - started, time.thread_time() - busy
    return Speeds(
        read_bytes_per_s=cold or _DEFAULT_READ,
        # The first time they may come from storage, and are in the page cache only then.
        cached_bytes_per_s=max(_speed(files, cold=False), _speed(files, cold=False)) or _DEFAULT_CACHED,
        cores=usable_cores(),
        read_cpu=min(busy / spent, 1.0) if cold else 0.0,
    )


def _speed(files: Sequence[Path], cold: bool) -> float:
    try:
        return read_speed(files, cold, _MOST_BYTES, _MOST_SECONDS)
    except OSError as error:
        raise EngineError(f"cannot read {error.filename}: {error.strerror}; check the storage") from error
