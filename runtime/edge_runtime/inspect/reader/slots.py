"""Memory that pictures are handed over in: each slot is one picture's place, seen by both processes."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.inspect.reader.decoder import Pixels

__all__ = ["SLOTS", "SlotReader", "SlotWriter"]

# One is filled while the other one is ready or being taken.
SLOTS = 2


class SlotWriter:
    """A slot in the reader's process. It grows by new memory, whose descriptor is `fresh` until it was sent."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self.fresh: int | None = None

    def write(self, image: Pixels) -> None:
        """Copy a picture in. Raises OSError where there is no memory for it."""
        if self._memory is None or len(self._memory) < image.nbytes:
            self.close()
            self.fresh = _new_memory(image.nbytes)
            self._memory = mmap.mmap(self.fresh, image.nbytes)
        self._memory[: image.nbytes] = (image if isinstance(image, memoryview) else image.data).cast("B")

    def sent(self) -> None:
        """The other process has the descriptor."""
        if self.fresh is not None:
            os.close(self.fresh)
            self.fresh = None

    def close(self) -> None:
        """Let the memory go; the other process keeps what it has."""
        self.sent()
        if self._memory is not None:
            self._memory.close()
            self._memory = None


class SlotReader:
    """The same slot in the inspecting process."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None

    def renew(self, descriptor: int) -> None:
        """Look at a new piece of memory; takes the descriptor over."""
        self.close()
        try:
            self._memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)

    def view(self, height: int, width: int) -> memoryview:
        """Return the picture, uint8 [height, width, 3], to be copied. Raises ValueError where the slot is smaller."""
        if self._memory is None or min(height, width) < 1 or height * width * 3 > len(self._memory):
            raise ValueError(f"a picture of {width} x {height} that is not in its slot")
        return memoryview(self._memory)[: height * width * 3].cast("B", (height, width, 3))

    def close(self) -> None:
        """Let the memory go."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _new_memory(size: int) -> int:
    """The descriptor of memory that has no name: /dev/shm may be small or missing."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("edgeline-frame", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
