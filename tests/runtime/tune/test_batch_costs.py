"""The table that the policy starts from where edge-tune has measured."""

from __future__ import annotations

import pytest
from tuning_fakes import tuned_of

from edge_runtime.batching.vocabulary import BatchCost
from edge_runtime.errors import UsageError
from edge_runtime.tune.batch_costs import tuned_costs
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.tuned import Trial


def _trial(lanes: int, batch: int, ms: float, threads: int = 1) -> Trial:
    return Trial(Choice(threads, lanes, batch, False, ()), ms, ms, 1000 * batch * lanes / ms, 10)


def test_the_table_of_a_tuned_profile_has_the_trials_of_its_threads() -> None:
    found = tuned_costs(
        tuned_of(_trial(2, 1, 18.0), _trial(1, 1, 17.0), _trial(1, 4, 60.0), _trial(1, 1, 9.5, threads=2))
    )
    assert found.costs == (BatchCost(1, 1, 17.0), BatchCost(4, 1, 60.0), BatchCost(1, 2, 18.0))


def test_a_profile_without_a_single_lane_is_refused() -> None:
    with pytest.raises(UsageError, match="single lane"):
        tuned_costs(tuned_of(_trial(2, 1, 18.0)))
