"""Quantized models dequantized: QDQ as the exporter writes it, and the operators onnxruntime makes of that."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, samples, sqnr_db

from edge_export.quant.dequantize import dequantize
from edge_export.run import expose, open_session, run

FEEDS = [{"images": sample[None]} for sample in samples()]
QUANTIZED = {"s": np.array(0.1, np.float32), "z": np.array(10, np.uint8)}


@pytest.fixture(scope="module")
def qdq():
    return quantized(convnet(), FEEDS)[0]


@pytest.fixture(scope="module")
def qoperator(qdq, tmp_path_factory):
    """The same model as onnxruntime's optimizer writes it: QLinearConv, QLinearAdd, QLinearGlobalAveragePool."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path_factory.mktemp("dequantized") / "lowered.onnx")
    onnxruntime.InferenceSession(qdq.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def small(nodes, weights, inputs, outputs):
    """A model whose inputs and outputs name their element types."""
    graph = helper.make_graph(
        [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes],
        "small",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def dequantized_of(model):
    dequantized, reason = dequantize(model)
    assert dequantized is not None, reason
    return dequantized


def pair(value, name):
    return [
        helper.make_node("QuantizeLinear", [value, "s", "z"], [f"{name}_q"], f"{name}_q"),
        helper.make_node("DequantizeLinear", [f"{name}_q", "s", "z"], [name], name),
    ]


def floats(shape):
    return (TensorProto.FLOAT, shape)


def test_qdq_dequantized_is_the_float_model_but_for_its_weights(qdq):
    dequantized = dequantized_of(qdq)
    assert "QuantizeLinear" not in {node.op_type for node in dequantized.model.graph.node}
    for feed in FEEDS:
        expected = run(open_session(convnet()), feed)["logits"]
        exact, rounded = run(open_session(dequantized.model), feed)["logits"], run(open_session(qdq), feed)["logits"]
        assert sqnr_db(expected, exact) > 28
        assert sqnr_db(expected, exact) > sqnr_db(expected, rounded)


def test_integer_operators_are_dequantized_as_the_pairs_they_were_made_from(qdq, qoperator):
    ops = {node.op_type for node in qoperator.graph.node}
    assert {"QLinearConv", "QLinearAdd", "QLinearGlobalAveragePool"} <= ops
    first, second = dequantized_of(qdq), dequantized_of(qoperator)
    assert not [node.op_type for node in second.model.graph.node if node.op_type.startswith("Q")]
    for feed in FEEDS:
        a, b = run(open_session(first.model), feed)["logits"], run(open_session(second.model), feed)["logits"]
        assert np.abs(a - b).max() < 1e-4, f"the largest difference is {np.abs(a - b).max()}"


def test_every_quantizer_names_a_float_value_and_the_range_it_allows(qdq):
    dequantized = dequantized_of(qdq)
    inner = [quantizer.value for quantizer in dequantized.quantizers if quantizer.value != "images"]
    values = {**FEEDS[0], **run(open_session(expose(dequantized.model, dict.fromkeys(inner))), FEEDS[0])}
    for quantizer in dequantized.quantizers:
        gap = np.abs(quantizer.rounded(values[quantizer.value]) - values[quantizer.value])
        inside = (values[quantizer.value] >= quantizer.low) & (values[quantizer.value] <= quantizer.high)
        assert gap[inside].max(initial=0) <= quantizer.scale * 0.501


@pytest.mark.parametrize(("zero", "scale", "expected"), [(0, 0.1, [0, 5, 30]), (0, 6 / 255, [0, 5, 6]), (9, 1, None)])
def test_a_relu_hidden_in_a_zero_point_is_kept(zero, scale, expected):
    weights = {"s": np.array(scale, np.float32), "z": np.array(zero, np.uint8)}
    model = small(pair("x", "y"), weights, {"x": floats([3])}, {"y": floats([3])})
    x = np.array([-3, 5, 30], np.float32)
    found = run(open_session(dequantized_of(model).model), {"x": x})["y"]
    assert np.array_equal(found, x if expected is None else np.array(expected, np.float32))


def test_numbers_that_are_only_moved_are_moved_as_floats():
    nodes = [
        pair("x", "d")[0],
        helper.make_node("MaxPool", ["d_q"], ["m"], "m", kernel_shape=[2, 2]),
        helper.make_node("Pad", ["m", "pads"], ["p"], "p"),
        helper.make_node("Concat", ["p", "c"], ["j"], "j", axis=1),
        helper.make_node("Transpose", ["j"], ["t"], "t", perm=[0, 2, 3, 1]),
        helper.make_node("DequantizeLinear", ["t", "s", "z"], ["y"], "y"),
    ]
    pads = np.array([0, 0, 1, 1, 0, 0, 0, 0], np.int64)
    weights = {**QUANTIZED, "pads": pads, "c": np.full((1, 1, 4, 4), 20, np.uint8)}
    model = small(nodes, weights, {"x": floats([1, 1, 4, 4])}, {"y": floats([1, 4, 4, 2])})
    x = np.random.default_rng(0).uniform(0, 5, (1, 1, 4, 4)).astype(np.float32)
    rounded, exact = (
        run(open_session(model), {"x": x})["y"],
        run(open_session(dequantized_of(model).model), {"x": x})["y"],
    )
    assert 0 < np.abs(rounded - exact).max() <= 0.0501
    assert exact[0, 0, 0].tolist() == [-1.0, 1.0]  # an integer 0 of the padding, and 20 of the constant


def test_an_output_of_integers_comes_with_what_they_stand_for():
    model = small(pair("x", "y")[:1], QUANTIZED, {"x": floats([4])}, {"y_q": (TensorProto.UINT8, [4])})
    dequantized = dequantized_of(model)
    assert dequantized.coded == {"y_q": (pytest.approx(0.1), 10)}
    x = np.array([-0.5, 0.04, 1, 2], np.float32)
    assert np.array_equal(run(open_session(dequantized.model), {"x": x})["y_q"], x)


def test_an_input_of_integers_stays_one():
    nodes = [
        helper.make_node("QLinearAdd", ["x", "s", "z", "x", "s", "z", "s", "z"], ["a"], "a", domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["y"], "y"),
    ]
    model = small(nodes, QUANTIZED, {"x": (TensorProto.UINT8, [2])}, {"y": floats([2])})
    found = run(open_session(dequantized_of(model).model), {"x": np.array([10, 12], np.uint8)})["y"]
    assert np.allclose(found, [0, 0.4])


def test_dynamic_ranges_are_dequantized_without_quantizers():
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"], "q"),
        helper.make_node("MatMulInteger", ["q", "w", "qz", "wz"], ["i"], "i"),
        helper.make_node("Cast", ["i"], ["f"], "f", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["qs", "ws"], ["both"], "both"),
        helper.make_node("Mul", ["f", "both"], ["y"], "y"),
    ]
    codes = rng.integers(-128, 128, (16, 8)).astype(np.int8)
    weights = {"w": codes, "wz": np.array(3, np.int8), "ws": np.array(0.01, np.float32)}
    model = small(nodes, weights, {"x": floats([4, 16])}, {"y": floats([4, 8])})
    dequantized = dequantized_of(model)
    assert dequantized.quantizers == ()
    x = rng.standard_normal((4, 16)).astype(np.float32)
    exact = run(open_session(dequantized.model), {"x": x})["y"]
    assert np.allclose(exact, x @ ((codes.astype(np.float32) - 3) * 0.01), atol=1e-4)
    assert 25 < sqnr_db(exact, run(open_session(model), {"x": x})["y"]) < 80


@pytest.mark.parametrize("transposed", [0, 1])
def test_qgemm_is_dequantized(transposed):
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, (8, 16) if transposed else (16, 8)).astype(np.int8)
    weights = {
        **QUANTIZED,
        "w": codes,
        "ws": np.linspace(0.01, 0.02, 8, dtype=np.float32),
        "wz": np.zeros(8, np.int8),
        "b": rng.integers(-500, 500, 8).astype(np.int32),
        "os": np.array(2.5, np.float32),
        "oz": np.array(128, np.uint8),
    }
    inputs = ["x_q", "s", "z", "w", "ws", "wz", "b", "os", "oz"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["x_q"], "x_q"),
        helper.make_node("QGemm", inputs, ["g"], "g", domain="com.microsoft", transB=transposed),
        helper.make_node("DequantizeLinear", ["g", "os", "oz"], ["y"], "y"),
    ]
    model = small(nodes, weights, {"x": floats([4, 16])}, {"y": floats([4, 8])})
    x = rng.uniform(-1, 20, (4, 16)).astype(np.float32)
    matrix = (codes.T if transposed else codes).astype(np.float32) * weights["ws"]
    exact = run(open_session(dequantized_of(model).model), {"x": x})["y"]
    assert np.allclose(exact, x @ matrix + weights["b"] * np.float32(0.1) * weights["ws"], rtol=1e-4, atol=1e-3)
    assert sqnr_db(exact, run(open_session(model), {"x": x})["y"]) > 20


@pytest.mark.parametrize(
    ("op", "reason"), [("Mul", "Mul 'odd' computes with the integers themselves"), ("Cast", "Cast 'odd' computes")]
)
def test_what_has_no_float_form_is_named(op, reason):
    inputs, more = (["y_q", "y_q"], {}) if op == "Mul" else (["y_q"], {"to": TensorProto.INT32})
    nodes = [pair("x", "y")[0], helper.make_node(op, inputs, ["o"], "odd", **more)]
    model = small(nodes, QUANTIZED, {"x": floats([4])}, {"o": (TensorProto.INT32, [4])})
    assert dequantize(model)[0] is None
    assert reason in dequantize(model)[1]
