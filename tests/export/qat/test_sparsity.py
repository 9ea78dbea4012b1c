"""The cubic schedule: its ends, its shape, and what it refuses."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_export.qat import CubicSparsity
from edge_runtime.errors import UsageError

SHARES = st.floats(0, 0.99)


@given(SHARES, SHARES, st.floats(0, 0.4), st.floats(0.5, 1), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_it_never_falls_and_stays_between_its_ends(a, b, begin, end, times):
    schedule = CubicSparsity(max(a, b), min(a, b), begin, end)
    shares = [schedule.at(time) for time in sorted(times)]
    assert all(first <= second + 1e-12 for first, second in itertools.pairwise(shares))
    assert all(min(a, b) - 1e-12 <= share <= max(a, b) + 1e-12 for share in shares)


def test_it_hits_both_ends_and_rises_fastest_at_first():
    schedule = CubicSparsity(0.8, 0.2, 0.1, 0.9)
    assert schedule.at(0.0) == schedule.at(0.1) == pytest.approx(0.2)
    assert schedule.at(0.9) == schedule.at(1.0) == pytest.approx(0.8)
    assert schedule.at(0.5) == pytest.approx(0.8 - 0.6 * 0.5**3)
    assert not schedule.done(0.89)
    assert schedule.done(0.9)


@pytest.mark.parametrize("wrong", [{"final": 1.0}, {"final": 0.2, "initial": 0.5}, {"final": 0.5, "begin": 0.9}])
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="sparsity: expected"):
        CubicSparsity(**wrong)
