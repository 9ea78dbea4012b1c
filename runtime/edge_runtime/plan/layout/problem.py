"""The vocabulary of static memory layout, after google/minimalloc: lifespans, buffers, a problem, a solution.

A step is any integer clock (the engine counts block executions); sizes and offsets are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Buffer", "Lifespan", "Problem", "Solution", "lower_bound"]


@dataclass(frozen=True)
class Lifespan:
    """The steps lower, lower + 1, ..., upper - 1: half-open, so that back-to-back lifespans may share memory."""

    lower: int
    upper: int

    def __post_init__(self) -> None:
        if self.lower >= self.upper:
            raise ValueError(f"expected lower < upper, found the lifespan [{self.lower}, {self.upper})")

    def overlaps(self, other: Lifespan) -> bool:
        """Return whether both are alive at some step."""
        return self.lower < other.upper and other.lower < self.upper


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that must stay in one place throughout `lifespan`."""

    id: str
    lifespan: Lifespan
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"expected a size of 0 or more bytes, found {self.size} for buffer {self.id!r}")


@dataclass(frozen=True)
class Problem:
    """Buffers with distinct ids, in any order."""

    buffers: tuple[Buffer, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for buffer in self.buffers:
            if buffer.id in seen:
                raise ValueError(f"expected distinct ids, found {buffer.id!r} twice")
            seen.add(buffer.id)


@dataclass(frozen=True)
class Solution:
    """Where each buffer starts, in bytes from the arena's start, and the `size` of the arena that holds them all."""

    offsets: Mapping[str, int]
    size: int


def lower_bound(problem: Problem, alignment: int = 1) -> int:
    """Return the largest sum of live bytes at any step: no layout is smaller.

    With an `alignment` every live buffer but the topmost is also charged the padding up to its neighbour.
    """
    largest = total = 0
    live: dict[str, int] = {}  # the padding of each live buffer
    events = [(b.lifespan.lower, 1, b) for b in problem.buffers if b.size]
    events += [(b.lifespan.upper, 0, b) for b in problem.buffers if b.size]
    for _, starts, buffer in sorted(events, key=lambda event: event[:2]):  # at one step, ends come before starts
        padding = -buffer.size % alignment
        if starts:
            live[buffer.id] = padding
            total += buffer.size + padding
            if total > largest:
                largest = max(largest, total - max(live.values()))
        else:
            total -= buffer.size + live.pop(buffer.id)
    return largest
