"""Where a graph is cut: compared with all that could be chosen."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.prepare.cuts import Boundary, boundaries, choose_cuts

MB = 1 << 20


@st.composite
def rows(draw):
    """A row of nodes with weights, and what crosses in front of each."""
    count = draw(st.integers(2, 7))
    weights = [draw(st.sampled_from([0, 1000, MB, 2 * MB, 9 * MB])) for _ in range(count)]
    sizes = {b"v%d" % k: draw(st.sampled_from([1000, MB, 5 * MB])) for k in range(count)}
    places = []
    for node in range(1, count):
        values = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=2, unique=True))
        places.append(Boundary(node, tuple(b"v%d" % k for k in values)))
    return weights, sizes, places


def taken(cuts, weights, sizes):
    """The most that a block, the next one's weights and the values at its ends take."""
    stops = [0, *(cut.node for cut in cuts), len(weights)]
    ends = [(), *(cut.values for cut in cuts), ()]
    own = [sum(weights[start:stop]) for start, stop in itertools.pairwise(stops)] + [0]
    alive = [sum(sizes[name] for name in {*one, *other}) for one, other in itertools.pairwise(ends)]
    return max(own[k] + own[k + 1] + alive[k] for k in range(len(alive)))


def of_weight(cuts, weights):
    stops = [0, *(cut.node for cut in cuts), len(weights)]
    return len(cuts) == 0 or all(sum(weights[start:stop]) >= 64 << 10 for start, stop in itertools.pairwise(stops))


@given(rows())
def test_no_partition_takes_much_less_and_none_as_good_has_fewer_blocks(case):
    weights, sizes, places = case
    chosen = choose_cuts(places, weights, sizes)
    every = [
        cuts
        for count in range(len(places) + 1)
        for cuts in itertools.combinations(places, count)
        if of_weight(cuts, weights)
    ]
    least = min(taken(cuts, weights, sizes) for cuts in every)
    assert of_weight(chosen, weights)
    assert taken(chosen, weights, sizes) <= 1.12 * least
    fewer = [cuts for cuts in every if len(cuts) < len(chosen)]
    assert all(taken(cuts, weights, sizes) > 1.09 * least for cuts in fewer)


def test_a_boundary_whose_values_are_of_unknown_size_is_left_out():
    places = [Boundary(1, (b"a",)), Boundary(2, (b"b",)), Boundary(3, (b"a",))]
    assert [cut.node for cut in choose_cuts(places, [MB] * 4, {b"a": 10})] == [1, 3]


def test_a_graph_without_boundaries_is_not_cut():
    assert choose_cuts([], [MB, MB], {}) == []


def test_what_crosses_is_what_was_made_before_and_is_read_later():
    reads = [frozenset({b"x"}), frozenset({b"a"}), frozenset({b"b", b"a"}), frozenset({b"c", b"x"})]
    makes = [[b"a"], [b"b"], [b"c"], [b"y"]]
    found = boundaries(reads, makes, frozenset({b"y"}), frozenset({b"x"}))
    assert [(place.node, place.values) for place in found] == [
        (1, (b"a", b"x")),
        (2, (b"a", b"b", b"x")),
        (3, (b"c", b"x")),
    ]
    assert [place.node for place in boundaries(reads, makes, frozenset({b"y"}), frozenset({b"x"}), most=2)] == [1, 3]


def test_an_output_that_is_made_early_crosses_to_the_end():
    found = boundaries(
        [frozenset({b"x"}), frozenset({b"a"})], [[b"a", b"y"], [b"z"]], frozenset({b"y", b"z"}), frozenset()
    )
    assert found == [Boundary(1, (b"a", b"y"))]
