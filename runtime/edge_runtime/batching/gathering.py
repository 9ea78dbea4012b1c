"""Which of the examples that wait make up the next batch: full, or the oldest has waited long enough. No threads."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Gatherer"]

T = TypeVar("T")


class Gatherer(Generic[T]):
    """Examples wait in buckets; those of one bucket go together. Times are seconds of one clock."""

    def __init__(self, size: int, patience: float) -> None:
        """At most `size` together; nobody waits for company longer than `patience`."""
        self._size, self._patience = size, patience
        self._buckets: dict[Hashable, deque[tuple[float, int, T]]] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def add(self, bucket: Hashable, example: T, now: float) -> None:
        """Take one."""
        self._buckets.setdefault(bucket, deque()).append((now, next(self._numbers), example))

    def take(self, now: float, at_once: bool = False) -> list[T]:
        """Return the batch whose first example came first, of those that are due; [] if none is.

        Due is what is full or has waited long enough; everything if `at_once`.
        """
        due = [
            (bucket[0][1], key)
            for key, bucket in self._buckets.items()
            if at_once or len(bucket) >= self._size or bucket[0][0] + self._patience <= now
        ]
        if not due:
            return []
        key = min(due, key=lambda pair: pair[0])[1]
        bucket = self._buckets[key]
        taken = [bucket.popleft()[2] for _ in range(min(self._size, len(bucket)))]
        if not bucket:
            del self._buckets[key]
        return taken

    def next_due(self) -> float | None:
        """Return when the next batch is due though it is not full; None when nothing waits."""
        return min((bucket[0][0] + self._patience for bucket in self._buckets.values()), default=None)
