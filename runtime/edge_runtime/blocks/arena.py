"""The arena: one reservation for the engine's life, out of which every weight slot and value is a view."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import weakref

import numpy as np
from numpy.typing import NDArray

from edge_devices.process_memory import ARENA_NAME
from edge_runtime.errors import MemoryLimitError

__all__ = ["Arena"]


class Arena:
    """`size` bytes, page-aligned. Never grows; views keep it alive until the last one is gone.

    `shared`: its pages can be mapped a second time, by `descriptor` (blocks/laying.py).
    """

    def __init__(self, size: int, shared: bool = False) -> None:
        """Reserve it. Raises MemoryLimitError where the system does not give that much."""
        self.size = size
        self.descriptor = -1
        length = max(size, mmap.PAGESIZE)
        try:
            if shared:
                self.descriptor = os.memfd_create(ARENA_NAME, os.MFD_CLOEXEC)
                weakref.finalize(self, os.close, self.descriptor)
                os.ftruncate(self.descriptor, length)
                self._map = mmap.mmap(self.descriptor, length)
            elif hasattr(mmap, "MAP_PRIVATE"):  # private: it is counted as this process's own memory, not as shared
                self._map = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            else:
                self._map = mmap.mmap(-1, length)
        except (OSError, ValueError, OverflowError) as error:
            raise MemoryLimitError(f"the system does not give {size} bytes for the arena: {error}") from error
        self._bytes = np.frombuffer(self._map, np.uint8)
        self.address: int = self._bytes.ctypes.data

    def view(self, offset: int, dtype: str | np.dtype[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Return an array over the arena's memory, contiguous, writable; nothing is copied. Raises ValueError."""
        kind = np.dtype(dtype)
        length = math.prod(shape) * kind.itemsize
        if min(offset, *shape, 0) < 0 or offset + length > self.size:
            raise ValueError(f"{list(shape)} {kind} at byte {offset} lies outside the arena's {self.size} bytes")
        return self._bytes[offset : offset + length].view(kind).reshape(shape)

    def lock(self) -> None:
        """Make all pages now, never to be swapped out. Raises MemoryLimitError where that is not allowed."""
        length = len(self._map)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlock(ctypes.c_void_p(self.address), ctypes.c_size_t(length)):
            reason = os.strerror(ctypes.get_errno())
            raise MemoryLimitError(
                f"the system does not lock {length} bytes in memory ({reason}): raise `ulimit -l`, or run without "
                "locked memory"
            )
