import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.station.thresholds.binomial import at_least, at_most, at_most_found, more_to_prove

counts = st.integers(1, 60).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
confidences = st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999])


def exact(found, total, rate):
    """The binomial sum in whole numbers."""
    p = Fraction(rate)
    return float(sum(math.comb(total, k) * p**k * (1 - p) ** (total - k) for k in range(found + 1)))


@given(counts, st.floats(0.001, 0.999))
def test_the_sum_is_the_binomial_one(pair, rate):
    found, total = pair
    if found < total:
        assert at_most_found(found, total, rate) == pytest.approx(exact(found, total, rate), rel=1e-9, abs=1e-14)


@given(counts, confidences)
def test_a_bound_is_where_so_few_would_be_as_rare_as_asked_for(pair, confidence):
    found, total = pair
    high, low = at_most(found, total, confidence), at_least(found, total, confidence)
    assert 0 <= low <= found / total <= high <= 1 or confidence == 0.5
    if found < total:
        assert exact(found, total, high) == pytest.approx(1 - confidence, abs=1e-9)
    if found:
        assert 1 - exact(found - 1, total, low) == pytest.approx(1 - confidence, abs=1e-9)


@given(counts, confidences)
def test_more_confidence_more_found_and_fewer_seen_never_lower_a_bound(pair, confidence):
    found, total = pair
    assert at_most(found, total, confidence) <= at_most(found, total, 0.9999) + 1e-12
    assert at_most(found, total, confidence) <= at_most(min(found + 1, total), total, confidence) + 1e-12
    assert at_most(found, total + 1, confidence) <= at_most(found, total, confidence) + 1e-12


@pytest.mark.parametrize(
    ("found", "total", "confidence", "bound"),
    [
        # Of tables of the F distribution, and for none found 1 - (1 - c)^(1/n).
        (0, 10, 0.95, 1 - 0.05**0.1),
        (0, 300, 0.95, 0.0099360),
        (1, 100, 0.95, 0.0465598),
        (10, 100, 0.975, 0.1762226),
        (3000, 1_000_000, 0.95, 0.0030917),
        (0, 0, 0.95, 1.0),
        (5, 5, 0.95, 1.0),
    ],
)  # fmt: skip
def test_bounds_of_tables(found, total, confidence, bound):
    assert at_most(found, total, confidence) == pytest.approx(bound, abs=5e-7)


@given(st.integers(0, 5), st.integers(0, 200), st.sampled_from([0.001, 0.01, 0.05, 0.3]), confidences)
def test_so_many_more_prove_it_and_one_less_does_not(found, passed, bar, confidence):
    total = found + passed
    more = more_to_prove(found, total, bar, confidence)
    assert at_most(found, total + more, confidence) <= bar * (1 + 1e-9)
    if more:
        assert at_most(found, total + more - 1, confidence) > bar * (1 - 1e-9)


def test_what_no_number_proves():
    assert more_to_prove(0, 10, 0.0, 0.95) is None
    assert more_to_prove(0, 0, 1.0, 0.95) == 0
    assert more_to_prove(0, 0, 0.01, 0.95) == 299
