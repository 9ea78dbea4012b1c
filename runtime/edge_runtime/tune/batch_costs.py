"""What batches cost, out of what edge-tune measured: what the policy of several sources starts from."""

from __future__ import annotations

from edge_runtime.batching.vocabulary import BatchCost, CostTable
from edge_runtime.errors import UsageError
from edge_runtime.tune.tuned import Tuned

__all__ = ["tuned_costs"]


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
