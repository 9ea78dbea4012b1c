"""How fast storage is read while the processor computes: what streamed weights will really get."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.prepare.speed import measure_speeds

__all__ = ["LEAST_BYTES", "largest_file", "read_while"]

# A smaller file says nothing of the storage: it is read before the clock has moved.
LEAST_BYTES = 4 << 20


def largest_file(bundle: Bundle) -> Path | None:
    """Return the bundle's largest file, None where it is too small to time."""
    sizes = {name: entry.size for name, entry in bundle.manifest.files.items()}
    name = max(sizes, key=lambda name: sizes[name])
    return bundle.file(name) if sizes[name] >= LEAST_BYTES else None


def read_while(path: Path, compute: Callable[[Callable[[], bool]], object]) -> float:
    """Return bytes per second read from `path`, past the page cache, while `compute` runs in a thread of its own.

    `compute` is called with what tells it to end, again and again until the reading is done. Raises EngineError for a
    file that cannot be read, and what `compute` raises.
    """
    done, began = threading.Event(), threading.Event()
    errors: list[EdgelineError] = []

    def work() -> None:
        try:
            while not done.is_set():
                began.set()
                compute(done.is_set)
        except EdgelineError as error:
            errors.append(error)
        finally:
            began.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        began.wait()
        speed = measure_speeds([path]).read_bytes_per_s
    finally:
        done.set()
        thread.join()
    if errors:
        raise errors[0]
    return speed
