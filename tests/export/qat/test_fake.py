"""The fake quantizer against the arithmetic of ONNX's QuantizeLinear and DequantizeLinear, in numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny_models import make

torch = pytest.importorskip("torch", reason="torch is not installed")

from edge_export.qat.fake import fake_quantize  # noqa: E402
from edge_export.qat.quantizers import WeightQuantizer  # noqa: E402
from edge_export.quant.weights import quantize_bias, quantize_weight  # noqa: E402
from edge_export.run import open_session, run  # noqa: E402

FLOATS = st.floats(-1e4, 1e4, width=32)


def onnx_pair(x, scale, zero):
    """What the two operators compute, as the standard says: round half to even, saturate, multiply."""
    q = np.clip(np.rint(x / np.float32(scale)) + np.float32(zero), 0, 255).astype(np.int32)
    return ((q - zero).astype(np.float32) * np.float32(scale)).astype(np.float32)


@given(st.lists(FLOATS, min_size=1, max_size=40), st.floats(2**-10, 64, width=32), st.integers(0, 255))
def test_values_are_those_of_the_onnx_operators_to_the_last_bit(values, scale, zero):
    x = np.array(values, np.float32)
    found = fake_quantize(torch.from_numpy(x), torch.tensor(scale, dtype=torch.float32), zero, 0, 255)
    np.testing.assert_array_equal(found.numpy(), onnx_pair(x, scale, zero))


@given(st.lists(FLOATS, min_size=1, max_size=40), st.floats(2**-10, 64, width=32), st.integers(0, 255))
def test_quantizing_twice_changes_nothing(values, scale, zero):
    step = torch.tensor(scale, dtype=torch.float32)
    once = fake_quantize(torch.tensor(values, dtype=torch.float32), step, zero, 0, 255)
    assert torch.equal(fake_quantize(once, step, zero, 0, 255), once)


def test_onnxruntime_agrees_on_ties_and_both_ends():
    x = np.array([[-3.0, -0.75, -0.25, 0.25, 0.75, 1.25, 63.0, 1e6, -1e6]], np.float32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    weights = {"s": np.array(0.5, np.float32), "z": np.array(3, np.uint8)}
    model = make(nodes, weights, {"x": [1, 9]}, {"y": [1, 9]})
    expected = run(open_session(model, optimize=False), {"x": x})["y"]
    found = fake_quantize(torch.from_numpy(x), torch.tensor(0.5), 3, 0, 255).numpy()
    np.testing.assert_array_equal(found, expected)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_gradients_are_those_of_the_learned_step_size():
    x = torch.tensor([0.6, -0.4, 300.0, -300.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    fake_quantize(x, scale, 100, 0, 255).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]
    # inside: q - x / scale; clipped: the end of the range, in steps
    expected = (1 - 1.2) + (-1 + 0.8) + 155 - 100
    assert scale.grad.item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1]), st.floats(2**-8, 4, width=32))
def test_weights_and_bias_start_as_the_exporter_quantizes_them(seed, axis, input_scale):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((5, 7)).astype(np.float32)
    bias = rng.standard_normal(weight.shape[axis]).astype(np.float32)
    expected = quantize_weight(weight, axis, bias, input_scale)
    quantizer = WeightQuantizer(expected.scale, axis, torch.from_numpy(weight))
    w, b, s = torch.from_numpy(weight), torch.from_numpy(bias), torch.tensor(input_scale, dtype=torch.float32)
    with torch.no_grad():
        values, scale, units, bias_scale = quantizer.integers(w, b, s)
        real, real_bias = quantizer.weight(w, b, s).numpy(), quantizer.bias(b, s).numpy()
    np.testing.assert_allclose(scale, expected.scale, rtol=1e-6)
    assert np.abs(values.astype(int) - expected.values).max() <= 1  # the scale is off by a bit of its logarithm
    assert np.abs(units - quantize_bias(bias, input_scale, scale)).max() <= np.abs(units).max() * 1e-6 + 1
    # what is trained with is what is stored
    shape = [1, 1]
    shape[axis] = -1
    np.testing.assert_array_equal(real, values.astype(np.float32) * scale.reshape(shape))
    np.testing.assert_array_equal(real_bias, units.astype(np.float32) * bias_scale)


def test_a_bias_that_would_not_fit_int32_makes_the_scale_larger():
    weight, bias = torch.full((2, 3), 1e-9), torch.tensor([5.0, 0.0])
    quantizer = WeightQuantizer(np.full(2, 1e-11, np.float32), 0, weight)
    with torch.no_grad():
        _, scale, units, bias_scale = quantizer.integers(weight, bias, torch.tensor(0.01))
    assert scale[0] > 1e-11
    assert abs(int(units[0])) <= 2**30
    assert units[0] * float(bias_scale[0]) == pytest.approx(5.0, rel=1e-6)
