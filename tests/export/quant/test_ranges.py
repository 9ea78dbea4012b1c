import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_export.quant import ranges
from edge_export.quant.ranges import BINS, ChannelRanges, Histogram, best_range, choose_range, params_of_range, silu

# Smaller ones beside these would be rounded to zero.
VALUES = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def histogram_of(*arrays):
    histogram = Histogram()
    for array in arrays:
        histogram.see(array)
    return histogram


def cost(values, low, high):
    params = params_of_range(low, high)
    q = np.clip(np.rint(values / params.scale) + params.zero_point, 0, 255)
    return float((np.abs((q - params.zero_point) * params.scale - values) ** 2.25).mean())


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


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.floats(1.0, 100.0))
def test_the_chosen_range_is_never_worse_than_min_max(seed, outlier):
    values = np.random.default_rng(seed).standard_normal(ranges.COUNTED).astype(np.float32)  # none is left out
    values[0] = outlier
    low, high, _ = choose_range(histogram_of(values))
    # The histogram has 2048 bins or more, so the last part per thousand is not its to see.
    assert cost(values, low, high) <= cost(values, values.min(), values.max()) * 1.02


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), st.integers(1, 5))
def test_the_chosen_range_holds_zero_and_nothing_that_was_not_seen(values, parts):
    histogram = histogram_of(*np.array_split(np.array(values * 300, np.float32), parts))
    low, high, method = choose_range(histogram)
    assert min(0.0, *values) <= low <= 0 <= high <= max(0.0, *values)
    assert method.split()[0] in ("min-max", "percentile", "searched")


@settings(max_examples=100)
@given(st.lists(st.lists(VALUES, max_size=20), max_size=6), st.randoms())
def test_bins_that_merge_keep_every_count_and_no_order_matters(samples, random):
    arrays = [np.array(sample, np.float32) for sample in samples]
    histogram = histogram_of(*arrays)
    assert histogram.total == sum(array.size for array in arrays)
    assert histogram.zeros == sum(int((array == 0).sum()) for array in arrays)
    assert (histogram.counts >= 0).all()
    random.shuffle(arrays)
    other = histogram_of(*arrays)
    assert (other.width, other.first) == (histogram.width, histogram.first)
    assert np.array_equal(other.counts, histogram.counts)


@settings(max_examples=50)
@given(st.lists(VALUES, min_size=1, max_size=30))
def test_each_value_lies_in_its_bin(values):
    array = np.array(values, np.float32)
    histogram = histogram_of(*array.reshape(-1, 1))
    expected = np.zeros(BINS, np.int64)
    for value in array[array != 0].astype(np.float64):
        expected[int(np.floor(value / histogram.width)) - histogram.first] += 1
    assert np.array_equal(histogram.counts, expected)


def test_of_a_big_tensor_a_part_is_counted_and_its_extremes():
    values = np.random.default_rng(0).standard_normal((3, 64, 40, 40)).astype(np.float32)
    values[1, 2, 3, 4], values[2, 1, 0, 0] = 50.0, -40.0
    histogram = histogram_of(values, values)
    assert (histogram.low, histogram.high) == (-40.0, 50.0)
    assert histogram.counts[np.flatnonzero(histogram.counts)[0]] >= 2
    assert abs(histogram.total - 2 * values.size) <= 2 * 20
    middle = np.abs(histogram.centers) < 1
    assert abs(histogram.counts[middle].sum() / histogram.total - 0.6827) < 0.01


def test_one_outlier_among_many_values_is_clipped():
    values = np.random.default_rng(0).standard_normal(30_000).astype(np.float32)
    values[0] = 60.0
    histogram = histogram_of(values)
    assert best_range(histogram)[1] > 40.0
    histogram.counts[histogram.centers < 50] *= 10_000  # many more images, and the outlier is still alone
    assert best_range(histogram)[1] < 15.0


def test_the_tail_of_few_values_is_not_clipped():
    values = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    values[0] = 60.0
    assert choose_range(histogram_of(values)) == (float(values.min()), 60.0, "min-max")


def test_bits_are_not_spent_on_what_a_silu_throws_away():
    values = np.random.default_rng(0).uniform(-40, 5, 20_000).astype(np.float32)
    plain, aware = best_range(histogram_of(values)), best_range(histogram_of(values), silu)
    assert plain[0] < -30
    assert aware[0] > -12


@pytest.mark.parametrize("values", [np.zeros(10, np.float32), np.full(20_000, 1e-38, np.float32)])
def test_a_tensor_without_a_range_gets_usable_parameters(values):
    low, high = best_range(histogram_of(values))
    assert params_of_range(low, high).scale > 0


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        Histogram().see(np.array([1.0, np.nan]))


def test_channels_that_reach_far_are_found_unless_many_do():
    values = np.random.default_rng(0).standard_normal((2, 16, 5, 5)).astype(np.float32)
    values[:, 3] *= 40
    channels = ChannelRanges(1)
    channels.see(values[:1])
    channels.see(values[1:])
    assert channels.outliers() == (3,)
    values[:, 8:] *= 40
    channels.see(values)
    assert channels.outliers() == ()
    assert ChannelRanges(-1).outliers() == ()


def test_pixels_keep_the_range_that_hits_them_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 100, 100)).astype(np.float32) / np.float32(255)
    pixels[0, 0, :2] = 0, 1
    histogram = Histogram.of_pixels()
    histogram.see(pixels[:, :50])
    histogram.see(pixels)
    assert choose_range(histogram) == (0.0, 1.0, "min-max")
    assert len(np.unique(np.round(histogram.centers[histogram.counts > 0] * 255, 4))) == 255
