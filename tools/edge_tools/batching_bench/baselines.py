"""The policies of others, in the same simulator: only the batching differs.

All of them admit work as ours does (the same triage: superseded live frames are dropped; live frames that cannot be in
time are dropped when others wait, other late work runs last).

- Fixed: up to `batch` at a time, sent when it is full or its oldest request has waited `timeout_ms` (None: only full).
- Clipper (NSDI 2017, 4.3.1): the maximum batch grows by a constant until a batch takes longer than the objective, then
  shrinks by 10 %; what waits is sent as soon as a lane is free (its delayed batching is the fixed timeout above).
- TensorFlow Serving (SharedBatchScheduler): a batch is sent when it has max_batch_size tasks or batch_timeout_micros
  after its first task came, to one of num_batch_threads.
- Triton (dynamic batcher): as soon as the queue holds a preferred size the largest preferred one is sent; else all that
  waits, when its oldest request has waited max_queue_delay.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.triage import triage
from edge_runtime.batching.vocabulary import Decision, Drop, Request, State

__all__ = ["Aimd", "Fixed", "Triton"]


def admit(state: State, costs: BatchCosts) -> tuple[Sequence[Request], tuple[Drop, ...]]:
    """Return what may run, the most urgent first, and what is dropped: for every policy the same."""
    lanes = min(len(state.running) + 1, state.lanes)
    found = triage(state.waiting, state.now_ms + costs.ms(1, lanes))
    if not found.late:
        return found.ready, found.superseded
    if not found.ready:
        return found.late, found.superseded
    dropped = tuple(Drop(request, "late") for request in found.late if request.live)
    return (*found.ready, *(r for r in found.late if not r.live)), found.superseded + dropped


class Fixed:
    """Also TensorFlow Serving's rule, with batch = max_batch_size, timeout_ms = batch_timeout_micros / 1000 and
    lanes = num_batch_threads."""

    def __init__(self, costs: BatchCosts, batch: int, timeout_ms: float | None, lanes: int) -> None:
        self.costs = costs
        self.batch = batch
        self.timeout_ms = timeout_ms
        self.lanes = lanes

    def decide(self, state: State) -> Decision:
        """Return what the rule says."""
        if len(state.running) >= self.lanes:
            return Decision()
        order, drops = admit(state, self.costs)
        if len(order) >= self.batch:
            return Decision(tuple(order[: self.batch]), drops)
        if not order or self.timeout_ms is None:
            return Decision(drop=drops)
        due = min(request.arrived_ms for request in order) + self.timeout_ms
        if due <= state.now_ms + 1e-9:
            return Decision(tuple(order), drops)
        return Decision(drop=drops, wake_ms=due)


class Aimd:
    """Clipper's adaptive batching: +1 while batches stay within the objective, x 0.9 when one does not."""

    def __init__(self, costs: BatchCosts, objective_ms: float, lanes: int) -> None:
        self.costs = costs
        self.objective_ms = objective_ms
        self.lanes = lanes
        self.limit = 1.0

    def finished(self, batch: int, ms: float) -> None:
        """Learn from a batch's duration; only a full one says that a larger one may be tried."""
        if ms > self.objective_ms:
            self.limit = max(1.0, 0.9 * self.limit)
        elif batch >= int(self.limit):
            self.limit = min(self.limit + 1, float(self.costs.largest))

    def decide(self, state: State) -> Decision:
        """Return up to `limit` of what waits, at once."""
        if len(state.running) >= self.lanes:
            return Decision()
        order, drops = admit(state, self.costs)
        return Decision(tuple(order[: int(self.limit)]), drops)


class Triton:
    """Triton's dynamic batcher with `preferred` sizes, one model instance per lane."""

    def __init__(self, costs: BatchCosts, preferred: Sequence[int], delay_ms: float, lanes: int) -> None:
        self.costs = costs
        self.preferred = tuple(sorted(preferred, reverse=True))
        self.delay_ms = delay_ms
        self.lanes = lanes

    def decide(self, state: State) -> Decision:
        """Return what the rule says."""
        if len(state.running) >= self.lanes:
            return Decision()
        order, drops = admit(state, self.costs)
        for size in self.preferred:
            if len(order) >= size:
                return Decision(tuple(order[:size]), drops)
        if not order:
            return Decision(drop=drops)
        due = min(request.arrived_ms for request in order) + self.delay_ms
        if due <= state.now_ms + 1e-9:
            return Decision(tuple(order[: self.costs.largest]), drops)
        return Decision(drop=drops, wake_ms=due)
