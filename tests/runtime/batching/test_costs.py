from __future__ import annotations

import math
from itertools import pairwise

import pytest
from batching_cases import GPU, table
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.batching import BatchCosts
from edge_runtime.batching.vocabulary import BatchCost, CostTable
from edge_runtime.errors import UsageError


def test_between_measured_batches_the_time_is_a_straight_line() -> None:
    assert BatchCosts(GPU).ms(2) == 7.0
    assert BatchCosts(GPU).ms(4, 2) == 17.0


def test_lanes_that_were_not_measured_share_the_throughput_of_those_that_were() -> None:
    costs = BatchCosts(GPU)
    assert costs.rate(4, 4) == pytest.approx(costs.rate(4, 2))
    assert BatchCosts(table((1, 1, 10.0), (1, 3, 20.0))).ms(1, 2) == 15.0


def test_a_batch_larger_than_any_measured_on_many_lanes_grows_as_on_one() -> None:
    costs = BatchCosts(table((1, 1, 2.0), (4, 1, 7.0), (1, 2, 4.0)))
    assert costs.ms(4, 2) == 14.0


def test_the_best_batch_is_the_smallest_that_gains_nothing_more() -> None:
    assert BatchCosts(table((1, 1, 10.0), (8, 1, 80.0))).best_batch() == 1
    assert BatchCosts(GPU).best_batch() == 8


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
        BatchCosts(bad)


_TABLES = st.dictionaries(
    st.tuples(st.integers(1, 16), st.integers(1, 4)), st.floats(0.1, 1e3), min_size=1, max_size=12
).map(lambda found: CostTable(tuple(BatchCost(b, n, ms) for (b, n), ms in {(1, 1): 1.0, **found}.items())))


@given(_TABLES, st.integers(1, 6))
def test_more_never_costs_less(costs: CostTable, lanes: int) -> None:
    found = BatchCosts(costs)
    times = [found.ms(batch, lanes) for batch in range(1, found.largest + 1)]
    assert all(a <= b + 1e-9 for a, b in pairwise(times))
    assert all(found.ms(batch, lanes) <= found.ms(batch, lanes + 1) + 1e-9 for batch in range(1, found.largest + 1))


def test_where_weights_are_read_for_each_batch_slower_storage_makes_the_best_batch_larger() -> None:
    sizes = (1, 2, 4, 8, 16)
    best = [
        BatchCosts(table(*((b, 1, 4 * max(read, 5.0 * b)) for b in sizes))).best_batch() for read in (1.0, 9.0, 75.0)
    ]
    assert best == sorted(best)
    assert best[0] == 1
    assert best[-1] > 8
