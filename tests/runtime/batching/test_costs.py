from __future__ import annotations

import math
from itertools import pairwise

import pytest
from batching_cases import GPU, table
from hypothesis import given
from hypothesis import strategies as st
from tuning_fakes import tuned_of

from edge_runtime.batching import Costs, plan_costs, streamed_costs, tuned_costs
from edge_runtime.batching.vocabulary import BatchCost, CostTable
from edge_runtime.errors import UsageError
from edge_runtime.plan import Measurements, Timing, WholeMeasurement
from edge_runtime.plan.plan import unlimited_plan
from edge_runtime.tune.tuned import Choice, Trial


def test_between_measured_batches_the_time_is_a_straight_line() -> None:
    assert Costs(GPU).ms(2) == 7.0
    assert Costs(GPU).ms(4, 2) == 17.0


def test_lanes_that_were_not_measured_share_the_throughput_of_those_that_were() -> None:
    costs = Costs(GPU)
    assert costs.rate(4, 4) == pytest.approx(costs.rate(4, 2))
    assert Costs(table((1, 1, 10.0), (1, 3, 20.0))).ms(1, 2) == 15.0


def test_a_batch_larger_than_any_measured_on_many_lanes_grows_as_on_one() -> None:
    costs = Costs(table((1, 1, 2.0), (4, 1, 7.0), (1, 2, 4.0)))
    assert costs.ms(4, 2) == 14.0


def test_the_largest_batch_within_a_time_also_has_to_fit_the_memory() -> None:
    costs = Costs(table((1, 1, 10.0), (4, 1, 20.0), arena_bytes=100))
    assert costs.largest_within(20.0) == 4
    assert costs.largest_within(15.0) == 2
    assert costs.largest_within(5.0) == 0
    # The bytes of a batch between measured ones are those of the next larger one.
    assert costs.largest_within(20.0, free_bytes=399) == 1
    assert costs.largest_fitting(1, 400) == 4


def test_the_best_batch_is_the_smallest_that_gains_nothing_more() -> None:
    assert Costs(table((1, 1, 10.0), (8, 1, 80.0))).best_batch() == 1
    assert Costs(GPU).best_batch() == 8


@pytest.mark.parametrize(
    "bad",
    [
        CostTable(()),
        CostTable((BatchCost(1, 2, 5.0),)),
        CostTable((BatchCost(1, 1, 0.0),)),
        CostTable((BatchCost(0, 1, 5.0),)),
        CostTable((BatchCost(1, 1, math.inf),)),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(bad: CostTable) -> None:
    with pytest.raises(UsageError):
        Costs(bad)


_TABLES = st.dictionaries(
    st.tuples(st.integers(1, 16), st.integers(1, 4)), st.floats(0.1, 1e3), min_size=1, max_size=12
).map(lambda found: CostTable(tuple(BatchCost(b, n, ms) for (b, n), ms in {(1, 1): 1.0, **found}.items())))


@given(_TABLES, st.integers(1, 6))
def test_more_never_costs_less(costs: CostTable, lanes: int) -> None:
    found = Costs(costs)
    times = [found.ms(batch, lanes) for batch in range(1, found.largest + 1)]
    assert all(a <= b + 1e-9 for a, b in pairwise(times))
    assert all(found.ms(batch, lanes) <= found.ms(batch, lanes + 1) + 1e-9 for batch in range(1, found.largest + 1))


def test_a_streamed_block_costs_the_longer_of_reading_and_computing() -> None:
    costs = Costs(streamed_costs([10.0, 2.0], {1: [3.0, 3.0], 4: [12.0, 12.0]}))
    assert costs.ms(1) == 13.0
    assert costs.ms(4) == 24.0


def test_on_slower_storage_the_best_batch_is_larger() -> None:
    compute = {batch: [5.0 * batch] * 4 for batch in (1, 2, 4, 8, 16)}
    best = [Costs(streamed_costs([read] * 4, compute)).best_batch() for read in (1.0, 9.0, 19.0, 75.0)]
    assert best == [1, 2, 4, 15] or best == sorted(best)
    assert best[0] == 1
    assert best[-1] > 8


def test_streamed_costs_need_a_time_for_each_block() -> None:
    with pytest.raises(UsageError, match="2 blocks"):
        streamed_costs([1.0, 2.0], {1: [1.0]})


def test_a_plan_of_the_whole_graph_costs_what_prepare_measured() -> None:
    whole = WholeMeasurement(0, 0, (Timing(1, 10.0), Timing(4, 25.0)), ())
    found = Measurements(2, (1, 4), (), (), whole, 0)
    costs = Costs(plan_costs(unlimited_plan(4, 0), found))
    assert costs.largest == 4
    assert costs.ms(1) == 10.0
    assert costs.ms(4) == 25.0


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
