"""Memory that is free but still held by the C library goes back to the operating system."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

__all__ = ["give_back_memory", "spare_memory"]


# mallopt(3): from this many bytes on a block is mapped by itself, and unmapped when it is freed. Left alone, glibc
# raises the limit to 32 MB and keeps what a session has freed.
_M_MMAP_THRESHOLD = -3
_BIG = 1 << 20


def spare_memory() -> None:
    """For the whole process: let big blocks go back to the system as soon as they are freed (glibc; else nothing), and
    look at what was imported in no later collection of garbage."""
    gc.freeze()
    if (mallopt := _glibc("mallopt")) is not None:
        mallopt(_M_MMAP_THRESHOLD, _BIG)


def give_back_memory() -> None:
    """Collect garbage and return free heap memory to the system, where the C library has a call for it (glibc)."""
    gc.collect()
    if (trim := _glibc("malloc_trim")) is not None:
        trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, None where it has none of that name (musl, other systems)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
