import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_export.quant.repair.cle import (
    Carried,
    Reader,
    best_factors,
    clip_errors,
    components,
    predicted_noise,
    scaled_bias,
    scaled_weight,
)
from edge_export.quant.repair.statistics import MAGNITUDES, magnitude_bins


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]), st.sampled_from([0, 1]))
def test_scaled_weights_undo_the_scaling_of_what_they_read(seed, group, axis):
    rng = np.random.default_rng(seed)
    group = group if axis == 0 else 1
    inputs, outputs = 4, 8
    weight = rng.standard_normal((outputs, inputs // group)).astype(np.float32)
    into, out = rng.uniform(0.1, 10, inputs), rng.uniform(0.1, 10, outputs)
    bias, x = rng.standard_normal(outputs).astype(np.float32), rng.standard_normal(inputs)

    def run(matrix, offset, values):
        rows = values.reshape(group, -1).repeat(outputs // group, axis=0)
        return (matrix * rows).sum(axis=1) + offset

    stored = weight if axis == 0 else weight.T
    changed = scaled_weight(stored, axis, group, into, out)
    changed = changed if axis == 0 else changed.T
    found = run(changed, scaled_bias(bias, out), x / into) * out
    np.testing.assert_allclose(found, run(weight, bias, x), rtol=1e-4, atol=1e-5)


def test_the_error_of_a_clip_is_what_quantizing_really_costs():
    rng = np.random.default_rng(0)
    x = np.abs(rng.standard_normal((1, 50_000))).astype(np.float32)
    errors = clip_errors(magnitude_bins(x), x.shape[1], 1.0)[0]
    for clip in (64, 70, 80, 84):
        step = MAGNITUDES[clip] / 255
        found = np.square(np.clip(np.rint(x / step), 0, 255) * step - x).mean()
        np.testing.assert_allclose(errors[clip], found, rtol=0.3)


def tensor(ranges, seed=0):
    x = np.random.default_rng(seed).uniform(0, 1, (len(ranges), 4000)).astype(np.float32) * ranges[:, None]
    return Carried(np.arange(len(ranges)), clip_errors(magnitude_bins(x), 4000, 1.0)), np.square(x).mean(axis=1)


def reader(weights, energy):
    peaks = np.abs(weights)[None].astype(np.float32)
    squares = np.square(weights).sum(axis=0)[None]
    return Reader(peaks, squares, 1, np.arange(weights.shape[1])[None], 0, energy, float((squares[0] * energy).sum()))


def test_uneven_channels_are_carried_at_like_ranges():
    ranges = np.array([100.0, 10.0, 1.0, 0.1], np.float32)
    carried, energy = tensor(ranges)
    weights = np.random.default_rng(1).standard_normal((8, 4)) / ranges
    factors, before, after = best_factors(np.ones(4, bool), [carried], [reader(weights, energy)])
    carried_ranges = ranges / factors
    assert carried_ranges.max() / carried_ranges.min() < 100
    assert after < 0.1 * before
    assert predicted_noise(factors, [carried], [reader(weights, energy)]) == after


def test_held_channels_keep_their_scale():
    ranges = np.array([100.0, 10.0, 1.0, 0.1], np.float32)
    carried, energy = tensor(ranges)
    weights = np.random.default_rng(1).standard_normal((8, 4)) / ranges
    factors, before, after = best_factors(np.array([False, True, True, True]), [carried], [reader(weights, energy)])
    assert factors[0] == 1.0
    assert after < before


def test_dead_channels_are_left_alone():
    carried, energy = tensor(np.zeros(4, np.float32))
    weights = np.random.default_rng(1).standard_normal((8, 4))
    one = Reader(*[*vars(reader(weights, energy)).values()][:-1], out_energy=1.0)
    factors, _, _ = best_factors(np.ones(4, bool), [carried], [one])
    assert (factors == 1).all()


def test_tensors_belong_together_when_they_share_a_class_even_through_others():
    members = {"a": np.array([0, 1]), "b": np.array([2]), "c": np.array([1, 2]), "d": np.array([7])}
    assert components(members) == [{"d"}, {"a", "b", "c"}] or components(members) == [{"a", "b", "c"}, {"d"}]
