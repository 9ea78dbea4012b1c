"""The cost table as it is now: batching.refit with what has to be kept in between."""

from __future__ import annotations

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.refit import Drift, measured, refitted
from edge_runtime.batching.vocabulary import CostTable

__all__ = ["Refitting"]


class Refitting:
    """Begins with a table and follows what batches really take."""

    def __init__(self, table: CostTable) -> None:
        """Raises UsageError for a table that cannot be used."""
        self.table = table
        self._drift = Drift(BatchCosts(table))

    def measured(self, batch: int, lanes: int, ms: float, now_ms: float) -> None:
        """Learn what a batch took while `lanes` ran from its start to its end."""
        self._drift = measured(self._drift, batch, lanes, ms, now_ms)
        self.table = refitted(self._drift, now_ms)
