"""What comes back in any order leaves in the order in which it came."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["InOrder"]

T = TypeVar("T")


class InOrder(Generic[T]):
    """Tickets are drawn in order; what is handed in for one leaves when all before it were handed in."""

    def __init__(self) -> None:
        self._first = 0
        self._entries: deque[list[T]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def draw(self) -> int:
        """Return the next ticket."""
        self._entries.append([])
        return self._first + len(self._entries) - 1

    def hand_in(self, ticket: int, value: T) -> list[T]:
        """Return what may leave now, in order: nothing, or this value and what waited for it."""
        self._entries[ticket - self._first].append(value)
        ready = []
        while self._entries and self._entries[0]:
            ready += self._entries.popleft()
            self._first += 1
        return ready
