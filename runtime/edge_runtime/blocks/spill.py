"""Spilling: where a run's values wait while another run has the arena, with room for the largest boundary of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.blocks.arena import Arena
from edge_runtime.bundle.boundaries import Ends, alive_before

__all__ = ["Spill", "spill_bytes"]


def spill_bytes(blocks: Sequence[Ends], inputs: Sequence[str], outputs: Sequence[str], sizes: Mapping[str, int]) -> int:
    """Return the bytes of the largest boundary, where `sizes` are those of every value for a whole batch."""
    boundaries = (alive_before(blocks, k, inputs, outputs) for k in range(1, len(blocks)))
    return max((sum(sizes[name] for name in names) for names in boundaries), default=0)


class Spill:
    """Takes a copy of arrays and gives it back. One reservation for the engine's life."""

    def __init__(self, size: int) -> None:
        """Raises MemoryLimitError where the system does not give that much."""
        self._room = Arena(size)

    def save(self, arrays: Sequence[NDArray[np.generic]]) -> None:
        """Copy contiguous arrays here."""
        for array, place in self._pairs(arrays):
            np.copyto(place, array)

    def restore(self, arrays: Sequence[NDArray[np.generic]]) -> None:
        """Copy back what was saved from these arrays, given in the same order."""
        for array, place in self._pairs(arrays):
            np.copyto(array, place)

    def _pairs(self, arrays: Sequence[NDArray[np.generic]]) -> list[tuple[NDArray[np.generic], NDArray[np.generic]]]:
        pairs: list[tuple[NDArray[np.generic], NDArray[np.generic]]] = []
        offset = 0
        for array in arrays:
            flat = array.reshape(-1).view(np.uint8)
            pairs.append((flat, self._room.view(offset, "uint8", flat.shape)))
            offset += flat.nbytes
        return pairs
