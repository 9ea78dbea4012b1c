import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.station.rules.geometry import assigned, contains, gap, holds, pixels_inside

SQUARE = [(10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)]
NOTCHED = [(0.0, 0.0), (40.0, 0.0), (40.0, 40.0), (22.0, 40.0), (20.0, 15.0), (18.0, 40.0), (0.0, 40.0)]
numbers = st.integers(0, 40).map(float)
points = st.tuples(numbers, numbers)


def box(left, top, width, height):
    return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]


@pytest.mark.parametrize(
    ("point", "inside"),
    [((20, 20), True), ((10, 20), True), ((30, 30), True), ((9.99, 20), False), ((20, 30.01), False)],
)
def test_the_edge_of_a_polygon_belongs_to_it(point, inside):
    assert contains(SQUARE, point) is inside


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        ([(0, 0)], [(3, 4)], 5),
        (SQUARE, [(20, 20)], 0),
        (SQUARE, box(33, 34, 5, 5), 5),
        (SQUARE, box(0, 0, 40, 40), 0),
        (box(15, 15, 2, 2), SQUARE, 0),
        (SQUARE, [(0, 5), (40, 5)], 5),
        (box(0, 18, 40, 2), SQUARE, 0),
    ],
)
def test_a_gap_is_the_shortest_way_from_one_to_the_other(one, other, far):
    assert gap(one, other) == gap(other, one) == far


def test_an_open_line_does_not_close_itself():
    corner = [(0.0, 0.0), (40.0, 0.0), (40.0, 40.0)]
    assert gap([(20.0, 20.0)], corner, closed=False) == 20
    assert gap([(20.0, 20.0)], corner) == 0


def test_what_reaches_into_a_notch_is_not_held():
    assert holds(NOTCHED, box(2, 2, 10, 30))
    assert not holds(NOTCHED, box(5, 20, 30, 5))  # all its corners lie in the zone
    assert not holds(NOTCHED, box(5, 10, 30, 10))
    assert holds(SQUARE, SQUARE)


@given(st.lists(points, min_size=3, max_size=7), points)
def test_a_point_in_a_polygon_is_no_way_from_it(polygon, point):
    assert (gap([point], polygon) == 0) == contains(polygon, point)


@given(st.lists(points, min_size=3, max_size=7))
def test_pixels_are_told_as_points_are(polygon):
    inside = np.ones((8, 9), np.bool_)
    found = pixels_inside(polygon, 11, 13, inside)
    told = [[contains(polygon, (11.5 + x, 13.5 + y)) for x in range(9)] for y in range(8)]
    on_edge = [
        [gap([(11.5 + x, 13.5 + y)], [*polygon, polygon[0]], closed=False) < 1e-9 for x in range(9)] for y in range(8)
    ]
    assert (found == told)[~np.array(on_edge)].all()


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6))
def test_as_many_as_can_be_get_a_thing_of_their_own(wanted):
    found = assigned(wanted)
    given_out = [thing for thing in found if thing is not None]
    assert len(set(given_out)) == len(given_out)
    assert all(thing is None or thing in wishes for thing, wishes in zip(found, wanted, strict=True))

    def most(number, taken):
        if number == len(wanted):
            return 0
        best = most(number + 1, taken)
        return max([best, *(1 + most(number + 1, taken | {t}) for t in set(wanted[number]) - taken)])

    assert len(given_out) == most(0, frozenset())


def test_a_turned_figure_is_measured_as_it_lies():
    turned = [(20 + 10 * math.cos(a), 20 + 10 * math.sin(a)) for a in (0, math.pi / 2, math.pi, 3 * math.pi / 2)]
    assert gap(turned, [(20.0, 40.0)]) == pytest.approx(10)
    assert not contains(turned, (28.0, 28.0))
