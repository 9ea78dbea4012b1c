"""The cost table follows the machine: clocks and temperature change, and with them every duration.

Each batch that ran says how long it took against the table. Of each (batch, lanes) the last few such ratios are kept,
for a minute at most, and their median counts, so that one hiccup changes nothing and a change of the clock is followed
after half of them. Sizes that did not run lately move with the median of all that did.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.vocabulary import BatchCost, CostTable

__all__ = ["Drift", "measured", "refitted"]

_KEEP = 9  # ratios of one size
_FORGET_MS = 60_000.0
_ENOUGH = 5  # of one size, before it counts
_CHANGE = 0.05  # smaller changes are left alone


@dataclass(frozen=True)
class Drift:
    """Measured over expected durations by (batch, lanes): (when, ratio), newest last. `costs`: what was expected."""

    costs: BatchCosts
    ratios: Mapping[tuple[int, int], tuple[tuple[float, float], ...]] = field(default_factory=dict)


def measured(drift: Drift, batch: int, lanes: int, ms: float, now_ms: float) -> Drift:
    """Return the drift after a batch that took `ms` while `lanes` ran from its start to its end; others say nothing."""
    if not (1 <= batch <= drift.costs.largest and lanes >= 1 and ms > 0):
        return drift
    pair = (now_ms, ms / drift.costs.ms(batch, lanes))
    kept = [old for old in drift.ratios.get((batch, lanes), ()) if now_ms - old[0] <= _FORGET_MS]
    return replace(drift, ratios={**drift.ratios, (batch, lanes): (*kept, pair)[-_KEEP:]})


def refitted(drift: Drift, now_ms: float) -> CostTable:
    """Return the table as it is now: the very same object while nothing has changed by more than 5 %."""
    table = drift.costs.table
    recent = {key: [ratio for at, ratio in ratios if now_ms - at <= _FORGET_MS] for key, ratios in drift.ratios.items()}
    known = {key: statistics.median(ratios) for key, ratios in recent.items() if len(ratios) >= _ENOUGH}
    if all(abs(ratio - 1) <= _CHANGE for ratio in known.values()):
        return table
    overall = statistics.median(known.values())
    sizes = {(cost.batch, cost.lanes): cost for cost in table.costs}
    costs = [replace(cost, ms=cost.ms * known.get(key, _near(known, key[1], overall))) for key, cost in sizes.items()]
    for batch, lanes in known.keys() - sizes.keys():  # lay between measured ones, and was measured now
        costs.append(BatchCost(batch, lanes, drift.costs.ms(batch, lanes) * known[batch, lanes]))
    return CostTable(tuple(sorted(costs, key=lambda cost: (cost.lanes, cost.batch))))


def _near(known: Mapping[tuple[int, int], float], lanes: int, overall: float) -> float:
    """Return how sizes of so many lanes changed: as others of them, or as everything."""
    same = [ratio for (_, other), ratio in known.items() if other == lanes]
    return statistics.median(same) if same else overall
