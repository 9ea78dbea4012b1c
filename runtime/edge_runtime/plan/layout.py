"""Static memory layout: which bytes of one arena each buffer has, given the steps in which it is alive.

Buffers are laid out one after another, each at the lowest offset that is free throughout its life, in the best of a few
orders. Where none is good enough the buffer that reaches highest comes earlier in the order, in half its place, and all
are laid out anew: what is hard to place is placed while there is still room (squeaky wheel optimization, D. E. Joslin
and D. P. Clements, 1999).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Buffer", "Lifespan", "lay_out", "lower_bound"]

# How much larger than its lower bound a layout may be, and how often an order is changed for that.
_GOOD_ENOUGH = 1.02
_ROUNDS = 400


@dataclass(frozen=True)
class Lifespan:
    """The steps lower, lower + 1, ..., upper - 1: half-open, so that back-to-back lifespans may share memory."""

    lower: int
    upper: int

    def __post_init__(self) -> None:
        if self.lower >= self.upper:
            raise ValueError(f"expected lower < upper, found the lifespan [{self.lower}, {self.upper})")


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that must stay in one place throughout `lifespan`."""

    id: str
    lifespan: Lifespan
    size: int

    @property
    def length(self) -> int:
        """Return the number of steps of its life."""
        return self.lifespan.upper - self.lifespan.lower


# Largest first; the second argument is the sum of the sizes that the buffer meets, itself included.
_ORDERS: tuple[Callable[[Buffer, int], tuple[int, ...]], ...] = (
    lambda buffer, met: (buffer.size, buffer.length),
    lambda buffer, met: (buffer.length, buffer.size),
    lambda buffer, met: (buffer.size * buffer.length, buffer.size),
    lambda buffer, met: (met, buffer.size),
    lambda buffer, met: (-buffer.lifespan.lower, buffer.size),
    lambda buffer, met: (buffer.lifespan.upper, buffer.size),
)


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Return the largest sum of live bytes at any step: no layout is smaller."""
    return max(
        (
            sum(other.size for other in buffers if other.lifespan.lower <= step < other.lifespan.upper)
            for step in {buffer.lifespan.lower for buffer in buffers}
        ),
        default=0,
    )


def lay_out(buffers: Sequence[Buffer]) -> tuple[dict[str, int], int]:
    """Return each buffer's offset by id, and the size of the arena.

    The result depends on the buffers alone, not on their order; where their sizes are multiples of an alignment, so are
    the offsets. It ends at 1.02 times the lower bound, or with the best that was found.
    """
    buffers = sorted(buffers, key=lambda b: (b.lifespan.lower, b.lifespan.upper, b.size, b.id))
    enough = _GOOD_ENOUGH * lower_bound(buffers)
    meets = _meetings(buffers)
    met = [buffers[i].size + sum(buffers[j].size for j in meets[i]) for i in range(len(buffers))]
    orders = [sorted(range(len(buffers)), key=lambda i: key(buffers[i], met[i]), reverse=True) for key in _ORDERS]
    found = [(_first_fit(buffers, meets, order), order) for order in orders]
    (best, size), _ = min(found, key=lambda one: one[0][1])
    for (offsets, _), order in sorted(found, key=lambda one: one[0][1]):
        for _ in range(_ROUNDS):
            highest = max(range(len(buffers)), key=lambda i: offsets[i] + buffers[i].size, default=0)
            if size <= enough or order[0] == highest:
                break
            place = order.index(highest)
            order.insert(place // 2, order.pop(place))
            offsets, top = _first_fit(buffers, meets, order)
            if top < size:
                best, size = offsets, top
    return {buffer.id: offset for buffer, offset in zip(buffers, best, strict=True)}, size


def _first_fit(
    buffers: Sequence[Buffer], meets: Sequence[Sequence[int]], order: Sequence[int]
) -> tuple[list[int], int]:
    """Place the buffers in this order, each in the lowest gap that holds it; return the offsets and the size."""
    offsets = [-1] * len(buffers)
    top = 0
    for i in order:
        size, at = buffers[i].size, 0
        for offset, end in sorted((offsets[j], offsets[j] + buffers[j].size) for j in meets[i] if offsets[j] >= 0):
            if offset - at >= size:
                break
            at = max(at, end)
        offsets[i] = at
        top = max(top, at + size)
    return offsets, top


def _meetings(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Return for each buffer, sorted by their starts, the indices of those that are alive at some step of its life."""
    meets: list[list[int]] = [[] for _ in buffers]
    live: list[int] = []
    for i, buffer in enumerate(buffers):
        live = [j for j in live if buffers[j].lifespan.upper > buffer.lifespan.lower]
        meets[i] += live
        for j in live:
            meets[j].append(i)
        live.append(i)
    return meets
