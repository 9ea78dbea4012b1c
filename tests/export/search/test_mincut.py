"""A minimum cut gives the cheapest labelling: checked against all labellings of small problems."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_export.search.mincut import Problem, Tensor, solve

COSTS = st.integers(0, 20).map(float)


@st.composite
def problems(draw):
    count = draw(st.integers(1, 6))
    place = st.integers(0, count - 1)
    some = st.one_of(st.none(), place)
    tensors = draw(
        st.lists(st.builds(Tensor, some, st.lists(some, min_size=1, max_size=3).map(tuple), COSTS, COSTS), max_size=6)
    )
    return Problem(
        draw(st.lists(COSTS, min_size=count, max_size=count)),
        draw(st.lists(st.one_of(COSTS, st.just(float("inf"))), min_size=count, max_size=count)),
        [tensor for tensor in tensors if tensor.producer is None or tensor.producer not in tensor.readers],
        [pair for pair in draw(st.lists(st.tuples(place, place), max_size=3)) if pair[0] != pair[1]],
    )


@given(problems())
def test_no_labelling_costs_less_than_the_cut(problem):
    found = solve(problem)
    allowed = [
        labels
        for labels in itertools.product([False, True], repeat=len(problem.floats))
        if all(labels[needed] or not labels[unit] for unit, needed in problem.follows)
    ]
    assert tuple(found) in allowed
    assert problem.cost(found) <= min(problem.cost(labels) for labels in allowed) + 1e-6


def test_a_gain_smaller_than_the_way_in_and_out_is_not_worth_it():
    chain = [Tensor(None, (0,), 5.0, 0.0), Tensor(0, (None,), 0.0, 5.0)]
    assert solve(Problem([9.0], [1.0], chain)) == [False]
    assert solve(Problem([20.0], [1.0], chain)) == [True]


def test_two_neighbours_share_the_way_in_and_out():
    chain = [Tensor(None, (0,), 5.0, 0.0), Tensor(0, (1,), 5.0, 5.0), Tensor(1, (None,), 0.0, 5.0)]
    assert solve(Problem([9.0, 9.0], [1.0, 1.0], chain)) == [True, True]


def test_where_both_cost_the_same_the_unit_stays_float():
    assert solve(Problem([3.0], [3.0], [])) == [False]
