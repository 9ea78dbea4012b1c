"""Lay buffers out one after another, each at the lowest offset that is free throughout its life.

Quick, good for networks as they come, and up to half too large on problems that are made to be packed tightly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_runtime.plan.layout.problem import Buffer

__all__ = ["first_fit", "greedy"]

_Order = Callable[[Buffer, int], tuple[int, ...]]

# Largest first; the second argument is the sum of the sizes that the buffer meets, itself included.
_ORDERS: dict[str, _Order] = {
    "size": lambda buffer, met: (buffer.size, _length(buffer)),
    "length": lambda buffer, met: (_length(buffer), buffer.size),
    "area": lambda buffer, met: (buffer.size * _length(buffer), buffer.size),
    "contention": lambda buffer, met: (met, buffer.size),
    "start": lambda buffer, met: (-buffer.lifespan.lower, buffer.size),
    "end": lambda buffer, met: (buffer.lifespan.upper, buffer.size),
}


def greedy(buffers: Sequence[Buffer], enough: int) -> tuple[list[int], int]:
    """Return the offsets and the size of the best of several orders; an order that gives `enough` ends the search."""
    overlaps = _overlaps(buffers)
    met = [sum(buffers[j].size for j in overlaps[i]) + buffers[i].size for i in range(len(buffers))]
    best: tuple[list[int], int] | None = None
    for key in _ORDERS.values():
        order = sorted(range(len(buffers)), key=lambda i: key(buffers[i], met[i]), reverse=True)
        found = first_fit(buffers, overlaps, order)
        if best is None or found[1] < best[1]:
            best = found
        if best[1] <= enough:
            break
    return best or ([], 0)


def first_fit(
    buffers: Sequence[Buffer], overlaps: Sequence[Sequence[int]], order: Sequence[int]
) -> tuple[list[int], int]:
    """Place the buffers in this order, each in the lowest gap that holds it; return the offsets and the size."""
    offsets = [-1] * len(buffers)
    top = 0
    for i in order:
        size, at = buffers[i].size, 0
        for offset, end in sorted((offsets[j], offsets[j] + buffers[j].size) for j in overlaps[i] if offsets[j] >= 0):
            if offset - at >= size:
                break
            at = max(at, end)
        offsets[i] = at
        top = max(top, at + size)
    return offsets, top


def _length(buffer: Buffer) -> int:
    return buffer.lifespan.upper - buffer.lifespan.lower


def _overlaps(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Return for each buffer the indices of those that are alive at some step of its life."""
    overlaps: list[list[int]] = [[] for _ in buffers]
    by_start = sorted(range(len(buffers)), key=lambda i: buffers[i].lifespan.lower)
    live: list[int] = []
    for i in by_start:
        live = [j for j in live if buffers[j].lifespan.upper > buffers[i].lifespan.lower]
        overlaps[i] += live
        for j in live:
            overlaps[j].append(i)
        live.append(i)
    return overlaps
