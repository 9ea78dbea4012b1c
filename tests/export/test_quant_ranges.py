import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_export.quant.ranges import Histogram, best_range, params_of_range, silu


def histogram_of(*arrays):
    histogram = Histogram()
    for look in (Histogram.see_range, Histogram.see_counts):
        for array in arrays:
            look(histogram, array)
    return histogram


def mean_squared_error(values, low, high):
    params = params_of_range(low, high)
    q = np.clip(np.rint(values / params.scale) + params.zero_point, 0, 255)
    return float(np.square((q - params.zero_point) * params.scale - values).mean())


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_zero_is_always_exactly_representable(low, high):
    params = params_of_range(min(low, high), max(low, high))
    assert 0 <= params.zero_point <= 255
    assert params.scale > 0


@given(st.floats(0.01, 1e3), st.floats(0.01, 1e3))
def test_values_inside_the_range_are_off_by_at_most_one_step(below, above):
    params = params_of_range(-below, above)
    values = np.linspace(-below, above, 101)
    q = np.clip(np.rint(values / params.scale) + params.zero_point, 0, 255)
    assert np.abs((q - params.zero_point) * params.scale - values).max() <= params.scale * 1.001


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.floats(1.0, 100.0))
def test_the_searched_range_is_never_worse_than_min_max_on_the_histogram(seed, outlier):
    values = np.random.default_rng(seed).standard_normal(2000).astype(np.float32)
    values[0] = outlier
    histogram = histogram_of(values)
    low, high = best_range(histogram)
    searched = mean_squared_error(values, low, high)
    # The histogram has 2048 bins, so the last part per thousand is not its to see.
    assert searched <= mean_squared_error(values, values.min(), values.max()) * 1.02


def test_one_outlier_among_many_values_is_clipped():
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    values[0] = 60.0
    assert best_range(histogram_of(values))[1] < 55.0


def test_bits_are_not_spent_on_what_a_silu_throws_away():
    values = np.random.default_rng(0).uniform(-40, 5, 20_000).astype(np.float32)
    plain, aware = best_range(histogram_of(values)), best_range(histogram_of(values), silu)
    assert plain[0] < -30
    assert aware[0] > -12


def test_counts_over_several_samples_are_those_of_all_together():
    rng = np.random.default_rng(3)
    parts = [rng.standard_normal((4, 7)) for _ in range(5)]
    together = histogram_of(np.concatenate(parts))
    assert np.array_equal(histogram_of(*parts).counts, together.counts)
    assert together.counts.sum() == 140


def test_a_tensor_that_is_always_zero_gets_usable_parameters():
    low, high = best_range(histogram_of(np.zeros(10, np.float32)))
    assert params_of_range(low, high).scale > 0


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        Histogram().see_range(np.array([1.0, np.nan]))
