import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_export.quant import weights
from edge_export.quant.weights import quantize_bias, quantize_weight


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0, 1]), st.floats(1e-3, 1e3))
def test_each_channel_is_at_least_as_close_as_with_its_own_peak(seed, axis, size):
    weight = (np.random.default_rng(seed).standard_normal((6, 5, 3)) * size).astype(np.float32)
    real = quantize_weight(weight, axis).real()
    shape = [1, 1, 1]
    shape[axis] = -1
    others = tuple(i for i in range(3) if i != axis)
    scale = (np.abs(weight).max(axis=others) / 127).reshape(shape)
    plain = np.rint(weight / scale) * scale
    searched = np.square(real - weight).sum(axis=others)
    assert (searched <= np.square(plain - weight).sum(axis=others) * 1.001).all()


def test_a_channel_of_zeros_stays_zero_and_has_a_finite_scale():
    weight = np.zeros((3, 4), np.float32)
    weight[1] = 0.5
    found = quantize_weight(weight, 0, bias=np.array([1e6, 0, 0], np.float32), input_scale=1e-4)
    assert np.isfinite(found.scale).all()
    assert not found.values[0].any()


@given(st.floats(1e-6, 10.0), st.floats(-1e4, 1e4))
def test_a_bias_never_wraps_round(input_scale, bias):
    weight = np.full((1, 4), 1e-7, np.float32)
    found = quantize_weight(weight, 0, np.array([bias], np.float32), input_scale)
    steps = quantize_bias(np.array([bias], np.float32), input_scale, found.scale)
    step = np.float64(input_scale) * found.scale[0]
    assert abs(steps[0] * step - bias) <= max(step, abs(bias) * 1e-5)


def test_a_weight_of_many_chunks_is_quantized_as_its_channels_are_alone(monkeypatch):
    weight = np.random.default_rng(0).standard_normal((40, 24)).astype(np.float32)
    whole = quantize_weight(weight, 1)
    monkeypatch.setattr(weights, "_CHUNK", 100)
    parts = quantize_weight(weight, 1)
    assert np.array_equal(whole.values, parts.values)
    assert np.array_equal(whole.scale, parts.scale)
    assert whole.values.flags.c_contiguous
    alone = quantize_weight(weight[:, 7:8], 1)
    assert np.array_equal(alone.values[:, 0], whole.values[:, 7])
