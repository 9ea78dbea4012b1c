"""What a batch costs, looked up in what was measured, and where such tables come from.

Between measured batches and lanes the time is interpolated in a straight line; more lanes than were measured share the
same throughput; above the largest measured batch nothing is offered. A larger batch or more lanes never cost less: a
measurement that says so is noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from edge_runtime.batching.vocabulary import BatchCost, CostTable
from edge_runtime.errors import UsageError
from edge_runtime.plan.measurements import Form, FormMeasurement, Measurements, Timing, Work
from edge_runtime.plan.plan import Plan
from edge_runtime.tune.tuned import Tuned

__all__ = ["Costs", "plan_costs", "streamed_costs", "tuned_costs"]

# A batch is the best one only if it brings more images per millisecond by this than the next smaller one.
_GAIN = 1.01


class Costs:
    """A CostTable made ready for looking up; `largest` is the largest batch that was measured."""

    def __init__(self, table: CostTable) -> None:
        """Raises UsageError for a table without lanes 1, or with a figure that cannot be."""
        self.table = table
        for cost in table.costs:
            if cost.batch < 1 or cost.lanes < 1 or not 0 < cost.ms < float("inf") or cost.arena_bytes < 0:
                raise UsageError(f"expected a cost with batch, lanes and ms above 0, found {cost}; measure again")
        measured = sorted({cost.lanes for cost in table.costs})
        if measured[:1] != [1]:
            raise UsageError(f"expected costs for lanes 1, found lanes {measured or 'none'}; measure those first")
        self.largest = max(cost.batch for cost in table.costs if cost.lanes == 1)
        self._measured = measured
        alone = _dense([cost for cost in table.costs if cost.lanes == 1], self.largest)
        self._ms = {1: alone}
        self._bytes = {1: _dense_bytes([cost for cost in table.costs if cost.lanes == 1], self.largest)}
        for lanes in measured[1:]:
            rows = [cost for cost in table.costs if cost.lanes == lanes]
            ms = _dense(rows, max(row.batch for row in rows))[: self.largest + 1]
            scale = ms[-1] / alone[len(ms) - 1]
            ms += [alone[batch] * scale for batch in range(len(ms), self.largest + 1)]
            fewer = self._ms[measured[measured.index(lanes) - 1]]
            self._ms[lanes] = [max(pair) for pair in zip(ms, fewer, strict=True)]
            self._bytes[lanes] = _dense_bytes(rows, self.largest)

    def ms(self, batch: int, lanes: int = 1) -> float:
        """Return what a batch takes while `lanes` of them run; `batch` 1 to `largest`."""
        known = self._ms.get(lanes)
        if known is None:
            known = self._ms[lanes] = self._between(lanes)
        return known[batch]

    def arena_bytes(self, batch: int, lanes: int = 1) -> int:
        """Return the arena of such a batch: as measured, or that of the next larger batch and more lanes."""
        key = min((n for n in self._measured if n >= lanes), default=self._measured[-1])
        return self._bytes[key][batch]

    def largest_within(self, ms: float, lanes: int = 1, free_bytes: int | None = None) -> int:
        """Return the largest batch that is done within `ms` and fits the memory; 0 if none does."""
        for batch in range(self.largest, 0, -1):
            if self.ms(batch, lanes) <= ms and (free_bytes is None or self.arena_bytes(batch, lanes) <= free_bytes):
                return batch
        return 0

    def largest_fitting(self, lanes: int, free_bytes: int | None) -> int:
        """Return the largest batch whose arena fits the memory, however long it takes; 0 if none does."""
        return self.largest_within(float("inf"), lanes, free_bytes)

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


def streamed_costs(
    read_ms: Sequence[float], compute_ms: Mapping[int, Sequence[float]], arena_bytes: Mapping[int, int] | None = None
) -> CostTable:
    """Return the table of a model whose blocks' weights are loaded anew for each batch: sum of max(load, compute).

    `read_ms`: each block's load; `compute_ms`: by batch, each block's computing for all of it. While a block computes
    the next is read, so that slow storage makes a large batch hardly dearer than a small one. Raises UsageError.
    """
    costs = []
    for batch in sorted(compute_ms):
        if len(compute_ms[batch]) != len(read_ms):
            raise UsageError(f"expected {len(read_ms)} blocks at batch {batch}, found {len(compute_ms[batch])}")
        ms = sum(max(pair) for pair in zip(read_ms, compute_ms[batch], strict=True))
        costs.append(BatchCost(batch, 1, ms, (arena_bytes or {}).get(batch, 0)))
    return CostTable(tuple(costs))


def plan_costs(plan: Plan, measurements: Measurements) -> CostTable:
    """Return what batches up to the plan's cost as prepare measured them: one lane, by each batch size that is there.

    A batch below the plan's takes its own time, where it was measured or lies between measured ones. Values in the
    arena were planned for the whole batch, so a batch costs no more bytes than are held anyway: 0.
    """
    sizes = sorted({size for size in (1, *measurements.batches, plan.batch) if size <= plan.batch})
    if plan.whole:
        timings = () if measurements.whole is None else measurements.whole.timings
        known = [(size, _run_ms(timings, size, plan.micro_batch)) for size in sizes]
        costs = tuple(BatchCost(size, 1, ms) for size, ms in known if ms is not None)
        return CostTable(costs or (BatchCost(plan.batch, 1, max(plan.latency_ms, 1e-3)),))
    chosen = [_form(measurements, k, block.form) for k, block in enumerate(plan.blocks)]
    compute: dict[int, list[float]] = {}
    for size in sizes:
        times = [_run_ms(form.timings, size, plan.micro_batch) for form in chosen]
        if None not in times:
            compute[size] = [ms for ms in times if ms is not None]
    if not compute:
        return CostTable((BatchCost(plan.batch, 1, max(plan.latency_ms, 1e-3)),))
    return streamed_costs([block.load_ms for block in plan.blocks], compute)


def tuned_costs(tuned: Tuned) -> CostTable:
    """Return what edge-tune measured with the threads and provider of its throughput choice. Raises UsageError."""
    wanted = tuned.throughput
    same = [
        trial
        for trial in tuned.trials
        if (trial.choice.threads, trial.choice.provider, trial.choice.spinning)
        == (wanted.threads, wanted.provider, wanted.spinning)
    ]
    found = {(trial.choice.lanes, trial.choice.batch): trial.p50_ms for trial in same}
    if not any(lanes == 1 for lanes, _ in found):
        raise UsageError(f"edge-tune measured no single lane of {wanted.threads} threads; run edge-tune again")
    return CostTable(tuple(BatchCost(batch, lanes, found[lanes, batch]) for lanes, batch in sorted(found)))


def _form(measurements: Measurements, k: int, form: Form) -> FormMeasurement:
    return next(found for found in measurements.blocks[k].forms if found.form == form)


def _run_ms(timings: Sequence[Timing], batch: int, micro: int) -> float | None:
    """Return the time of `batch` images, at most `micro` at a time; None where that was not measured."""
    full, rest = divmod(batch, micro)
    known = sorted((timing.batch, timing.ms) for timing in timings)
    if not known or known[-1][0] < min(batch, micro):
        return None
    dense = _dense([BatchCost(size, 1, ms) for size, ms in known], known[-1][0])
    return full * (dense[micro] if full else 0.0) + (dense[rest] if rest else 0.0)


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


def _dense_bytes(rows: Sequence[BatchCost], largest: int) -> list[int]:
    known: list[Work] = [Work(row.batch, row.arena_bytes) for row in rows]
    top = max(work.bytes for work in known)
    return [0] + [
        min((work.bytes for work in known if work.batch >= batch), default=top) for batch in range(1, largest + 1)
    ]
