"""Laying memory of ours under a session's weights, at the addresses where onnxruntime has mapped them from the file.

onnxruntime maps packed weights that it saved, and weights that its kernels read as they are, from the file: such a
session holds none on the heap. mmap(2) with MAP_FIXED puts other pages there, once, and no kernel notices: pages of the
arena, which several blocks share that do not run at the same time (streamed), or those of an arena that the block has
for itself (resident). File pages themselves are no place for weights within a limit: the kernel drops them as it likes,
and reads them again one fault at a time. When the session ends onnxruntime unmaps the range, whatever lies there.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.blocks.arena import Arena
from edge_runtime.errors import MemoryLimitError, ModelError
from edge_runtime.ort.block_session import packed_session

__all__ = ["LaidSession", "laid_session", "mapped_pages"]

_MAP_SHARED, _MAP_FIXED = 0x01, 0x10
_MAPS = Path("/proc/self/maps")

# (offset in the block's file, bytes): whole pages both.
Pages = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class LaidSession:
    """A session, and for each run of pages of its weights (address, offset in the file, bytes)."""

    session: Any
    places: tuple[tuple[int, int, int], ...]

    def lay(self, arena: Arena, offset: int) -> None:
        """Put the arena's pages from `offset` on there, those of the file in their order. Raises MemoryLimitError."""
        for address, at, length in self.places:
            _map(address, length, arena.descriptor, offset + at)


def laid_session(graph: Path, weights: Path, pages: Pages, threads: int, data: bytes | None = None) -> LaidSession:
    """Open a block's graph as an ordinary session, and find where it has mapped `pages` of the file `weights`.

    `data`: the graph's bytes, where somebody has looked at them.

    Raises ModelError for a graph that does not load, and where onnxruntime has not mapped them: a version that copies,
    a kernel that packs them for itself, a system that does not tell.
    """
    laid = _opened(graph, weights, pages, threads, data)
    if len(laid.places) < len(pages):
        raise ModelError(f"onnxruntime does not map the weights of {graph.name} from their file")
    return laid


def mapped_pages(graph: Path, weights: Path, pages: Pages, threads: int) -> list[tuple[int, int]]:
    """Return those of the pages that a session of the graph has mapped from the file. Raises ModelError."""
    return [(offset, length) for _, offset, length in _opened(graph, weights, pages, threads).places]


def _opened(graph: Path, weights: Path, pages: Pages, threads: int, data: bytes | None = None) -> LaidSession:
    path = os.path.realpath(weights)
    before = _mapped(path)
    session = packed_session(graph, threads, data)
    ranges = list(_without(_mapped(path), before))
    places = []
    for offset, length in pages:
        for start, end, at in ranges:
            if at <= offset and offset + length <= at + end - start:
                places.append((start + offset - at, offset, length))
                break
    return LaidSession(session, tuple(places))


def _map(address: int, length: int, descriptor: int, offset: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    placed = libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, _MAP_SHARED | _MAP_FIXED, descriptor, offset)
    if placed != address:
        reason = os.strerror(ctypes.get_errno())
        raise MemoryLimitError(f"the system does not give {length} bytes for weights: {reason}")


def _mapped(path: str) -> list[tuple[int, int, int]]:
    """This process's mappings of a file: (start, end, offset in the file)."""
    try:
        lines = _MAPS.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[5] == os.fsencode(path):
            start, end = (int(text, 16) for text in parts[0].split(b"-"))
            found.append((start, end, int(parts[2], 16)))
    return found


def _without(
    now: Iterable[tuple[int, int, int]], before: Sequence[tuple[int, int, int]]
) -> Iterable[tuple[int, int, int]]:
    """What of the mappings was not there before: neighbours may have been merged since."""
    for start, end, offset in now:
        at = start
        for low, high, _ in sorted(before):
            if high <= at or low >= end:
                continue
            if low > at:
                yield at, low, offset + at - start
            at = max(at, high)
        if at < end:
            yield at, end, offset + at - start
