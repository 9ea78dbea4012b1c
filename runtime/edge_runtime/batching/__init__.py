"""Many sources, one engine: which waiting images run together, and when."""

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.degrade import Ladder, Load, Rung, Step, next_rung
from edge_runtime.batching.explain import explain_line
from edge_runtime.batching.forecast import ArrivalForecaster
from edge_runtime.batching.policy import AdaptivePolicy
from edge_runtime.batching.refit import Drift, measured, refitted

__all__ = [
    "AdaptivePolicy",
    "ArrivalForecaster",
    "BatchCosts",
    "Drift",
    "Ladder",
    "Load",
    "Rung",
    "Step",
    "explain_line",
    "measured",
    "next_rung",
    "refitted",
]
