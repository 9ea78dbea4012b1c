"""Where blocks go: against every assignment there is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.ort.providers.assignment import Part, ProviderCosts, assign, cost, parts


@st.composite
def some_costs(draw):
    providers, blocks = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    ms = st.one_of(st.none(), st.integers(1, 40).map(lambda quarter: quarter / 4))
    block_ms = tuple(tuple(draw(ms) for _ in range(blocks)) for _ in range(providers))
    overhead = tuple(draw(st.integers(0, 4)) / 16 for _ in range(providers))
    carry = draw(st.lists(st.integers(0, 20), min_size=blocks, max_size=blocks))
    near = draw(st.booleans())
    return ProviderCosts(block_ms, overhead, lambda k, p, q: 0.0 if near and p + q == 1 else carry[k] / 8)


@given(some_costs())
def test_no_assignment_costs_less(costs):
    every = itertools.product(range(len(costs.block_ms)), repeat=len(costs.block_ms[0]))
    found = [(total, where) for where in every if (total := cost(costs, where)) is not None]
    placed = assign(costs)
    if not found:
        assert placed is None
    else:
        assert placed is not None
        assert cost(costs, placed) == min(found)[0]


@given(st.lists(st.integers(0, 2), max_size=12))
def test_parts_cover_every_block_once_and_neighbours_differ(where):
    found = parts(where)
    assert [part.provider for part in found for _ in range(part.first, part.stop)] == where
    assert all(a.stop == b.first and a.provider != b.provider for a, b in itertools.pairwise(found))


def free(_k, _p, _q):
    return 0.0


def test_each_block_goes_where_it_is_fastest_when_carrying_costs_nothing():
    assert assign(ProviderCosts(((1.0, 9.0, 1.0), (5.0, 2.0, 5.0)), (0.0, 0.0), free)) == (0, 1, 0)


def test_a_gain_that_carrying_eats_up_is_left_alone():
    assert assign(ProviderCosts(((1.0, 3.0, 1.0), (5.0, 2.0, 5.0)), (0.0, 0.0), lambda *_: 0.6)) == (0, 0, 0)


def test_what_fusing_saves_counts_against_a_cut():
    assert assign(ProviderCosts(((1.0, 3.0, 1.0), (5.0, 2.5, 5.0)), (0.3, 0.0), free)) == (0, 0, 0)


def test_a_block_that_runs_nowhere_leaves_no_placement():
    costs = ProviderCosts(((1.0, None), (2.0, None)), (0.0, 0.0), free)
    assert assign(costs) is None
    assert cost(costs, (0, 1)) is None


def test_of_equal_costs_the_first_provider_is_taken():
    assert assign(ProviderCosts(((2.0, 2.0), (2.0, 2.0)), (0.0, 0.0), free)) == (0, 0)


def test_parts_are_half_open():
    assert parts((0, 0, 1)) == (Part(0, 0, 2), Part(1, 2, 3))
    assert parts(()) == ()


@pytest.mark.parametrize("where", [(0, 0), (1, 1), (0, 1)])
def test_the_cost_is_the_sum_that_the_module_tells(where):
    costs = ProviderCosts(((4.0, 5.0), (6.0, 7.0)), (1.0, 2.0), lambda k, p, q: 10.0 * k + p + 2 * q)
    wanted = {(0, 0): 4 + 5 - 1, (1, 1): 6 + 7 - 2, (0, 1): 4 + 7 + 10 + 0 + 2}
    assert cost(costs, where) == wanted[where]
