"""What a batch costs, looked up in what was measured.

Between measured batches and lanes the time is interpolated in a straight line; more lanes than were measured share the
same throughput; above the largest measured batch nothing is offered. A larger batch or more lanes never cost less: a
measurement that says so is noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from edge_runtime.batching.vocabulary import BatchCost, CostTable
from edge_runtime.errors import UsageError

__all__ = ["BatchCosts"]

# A batch is the best one only if it brings more images per millisecond by this than the next smaller one.
_GAIN = 1.01


class BatchCosts:
    """A CostTable made ready for looking up; `largest` is the largest batch that was measured."""

    def __init__(self, table: CostTable) -> None:
        """Raises UsageError for a table without lanes 1, or with a figure that cannot be."""
        self.table = table
        for cost in table.costs:
            if cost.batch < 1 or cost.lanes < 1 or not 0 < cost.ms < float("inf"):
                raise UsageError(f"expected a cost with batch, lanes and ms above 0, found {cost}; measure again")
        measured = sorted({cost.lanes for cost in table.costs})
        if measured[:1] != [1]:
            raise UsageError(f"expected costs for lanes 1, found lanes {measured or 'none'}; measure those first")
        self.largest = max(cost.batch for cost in table.costs if cost.lanes == 1)
        self._measured = measured
        alone = _dense([cost for cost in table.costs if cost.lanes == 1], self.largest)
        self._ms = {1: alone}
        for lanes in measured[1:]:
            rows = [cost for cost in table.costs if cost.lanes == lanes]
            ms = _dense(rows, max(row.batch for row in rows))[: self.largest + 1]
            scale = ms[-1] / alone[len(ms) - 1]
            ms += [alone[batch] * scale for batch in range(len(ms), self.largest + 1)]
            fewer = self._ms[measured[measured.index(lanes) - 1]]
            self._ms[lanes] = [max(pair) for pair in zip(ms, fewer, strict=True)]

    def ms(self, batch: int, lanes: int = 1) -> float:
        """Return what a batch takes while `lanes` of them run; `batch` 1 to `largest`."""
        known = self._ms.get(lanes)
        if known is None:
            known = self._ms[lanes] = self._between(lanes)
        return known[batch]

    def rate(self, batch: int, lanes: int = 1) -> float:
        """Return images per millisecond of all `lanes`."""
        return batch * lanes / self.ms(batch, lanes)

    def best_batch(self, lanes: int = 1, most: int | None = None) -> int:
        """Return the batch of at most `most` with the best rate: the smallest of those within 1 % of it."""
        sizes = range(1, (self.largest if most is None else min(most, self.largest)) + 1)
        best = max(self.rate(batch, lanes) for batch in sizes)
        return next(batch for batch in sizes if self.rate(batch, lanes) * _GAIN >= best)

    def _between(self, lanes: int) -> list[float]:
        last = self._measured[-1]
        if lanes > last:  # nothing is gained by them
            return [ms * lanes / last for ms in self._ms[last]]
        low = max(n for n in self._measured if n < lanes)
        high = min(n for n in self._measured if n > lanes)
        part = (lanes - low) / (high - low)
        return [a + (b - a) * part for a, b in zip(self._ms[low], self._ms[high], strict=True)]


def _dense(rows: Sequence[BatchCost], largest: int) -> list[float]:
    """Return the time of every batch from 0 (free) to `largest`, never falling."""
    known = sorted({row.batch: row.ms for row in rows}.items())
    first, first_ms = known[0]
    dense = [0.0] + [first_ms] * first  # a smaller batch than any that was measured costs what that one does
    for (low, low_ms), (high, high_ms) in pairwise(known):
        steps = range(low + 1, high + 1)
        dense += [low_ms + (high_ms - low_ms) * (batch - low) / (high - low) for batch in steps]
    for batch in range(1, len(dense)):
        dense[batch] = max(dense[batch], dense[batch - 1])
    return dense[: largest + 1]
