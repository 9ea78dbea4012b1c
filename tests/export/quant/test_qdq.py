"""The quantized graph against plain FP32 onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples, sqnr_db

from edge_export.graph import Graph
from edge_export.quant.select import compute_nodes
from edge_export.run import expose, open_session, run


@pytest.fixture(scope="module")
def feeds():
    return [{"images": sample[None]} for sample in samples()]


def optimized_ops(model, folder):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


def test_the_int8_graph_answers_as_fp32_does(feeds):
    model = convnet()
    found, _ = quantized(model, feeds)
    onnx.checker.check_model(found)
    levels = []
    for feed in feeds:
        expected, answer = run(open_session(model), feed)["logits"], run(open_session(found), feed)["logits"]
        levels.append(sqnr_db(expected, answer))
    assert min(levels) > 25, f"smallest signal to noise ratio {min(levels):.1f} dB"


def test_every_conv_of_the_int8_graph_becomes_an_integer_kernel(feeds, tmp_path):
    found, plan = quantized(convnet(), feeds)
    ops = optimized_ops(found, tmp_path)
    assert ops.count("QLinearConv") == 3
    assert "Conv" not in ops
    assert "FusedConv" not in ops
    assert "QLinearAdd" in ops
    assert {"add2", "pool"} <= plan.nodes


def test_int8_weights_are_a_quarter_of_the_float_ones(feeds):
    model = convnet((3, 32, 64, 64))
    found, _ = quantized(model, feeds)
    before = sum(numpy_helper.to_array(w).nbytes for w in model.graph.initializer)
    after = sum(numpy_helper.to_array(w).nbytes for w in found.graph.initializer)
    assert after < 0.27 * before


def test_a_node_that_is_not_chosen_keeps_its_float_weights(feeds):
    found, _ = quantized(convnet(), feeds, names={"conv1"})
    names = {weight.name for weight in found.graph.initializer}
    assert {"w0", "w2", "fc"} <= names
    assert "w1" not in names


def test_half_weights_are_stored_as_fp16_and_computed_in_float(feeds):
    model = convnet()
    found, _ = quantized(model, feeds, names=set(), half=["w1"])
    stored = {weight.name: weight.data_type for weight in found.graph.initializer}
    assert stored["w1_h"] == onnx.TensorProto.FLOAT16
    expected = run(open_session(model), feeds[0])["logits"]
    answer = run(open_session(found), feeds[0])["logits"]
    assert answer.dtype == np.float32
    assert np.abs(expected - answer).max() < 1e-2


def test_outputs_keep_their_names_when_an_int8_conv_makes_them(feeds):
    weight = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["images", "w"], ["map"], name="only")]
    model = make(nodes, {"w": weight}, {"images": ["batch", 3, 16, 16]}, {"map": ["batch", 4, 16, 16]})
    found, _ = quantized(model, feeds)
    assert [value.name for value in found.graph.output] == ["map"]
    assert sqnr_db(run(open_session(model), feeds[0])["map"], run(open_session(found), feeds[0])["map"]) > 30


def test_two_convs_that_share_weights_both_become_int8(feeds):
    weight = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32) * 0.2
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["x"], name="first", pads=[1] * 4),
        helper.make_node("Conv", ["x", "w"], ["y"], name="second", pads=[1] * 4),
    ]
    model = make(nodes, {"w": weight}, {"images": ["batch", 3, 16, 16]}, {"y": ["batch", 3, 16, 16]})
    found, _ = quantized(model, feeds)
    assert "w" not in {item.name for item in found.graph.initializer}
    assert sqnr_db(run(open_session(model), feeds[0])["y"], run(open_session(found), feeds[0])["y"]) > 25


def session_where_sums_saturate(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def test_two_matmuls_as_wide_as_each_other_load_where_int8_sums_saturate(feeds):
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((16, 16)).astype(np.float32) for name in ("v", "w")}
    nodes = [
        helper.make_node("MatMul", ["images", "v"], ["x"], name="first"),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="second"),
    ]
    model = make(nodes, weights, {"images": ["batch", 3, 16, 16]}, {"y": ["batch", 3, 16, 16]})
    found, plan = quantized(model, feeds)
    assert len(plan.tensors) == 2
    assert run(session_where_sums_saturate(found), feeds[0])


def test_two_convs_that_share_weights_load_where_int8_sums_saturate(feeds):
    weight = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["x"], name="first", pads=[1] * 4),
        helper.make_node("Conv", ["x", "w"], ["y"], name="second", pads=[1] * 4),
    ]
    model = make(nodes, {"w": weight}, {"images": ["batch", 3, 16, 16]}, {"y": ["batch", 3, 16, 16]})
    assert run(session_where_sums_saturate(quantized(model, feeds)[0]), feeds[0])


def test_a_conv_whose_answer_is_looked_at_unrounded_runs_where_int8_sums_saturate(feeds):
    found, _ = quantized(convnet(), feeds)
    convs = {node.output[0]: None for node in found.graph.node if node.op_type == "Conv"}
    assert set(run(session_where_sums_saturate(expose(found, convs)), feeds[0])) >= set(convs)


def test_the_same_input_gives_the_same_bytes(feeds):
    first, second = (quantized(convnet(), feeds)[0].SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
def test_int8_weights_have_the_zero_points_that_some_kernels_want(feeds, kind):
    found, _ = quantized(convnet(), feeds)
    made = {node.output[0]: node for node in found.graph.node}
    weights = next(made[node.input[1]] for node in found.graph.node if node.op_type == kind)
    constants = {weight.name: numpy_helper.to_array(weight) for weight in found.graph.initializer}
    scale, zero = (constants[name] for name in weights.input[1:])
    assert zero.dtype == np.int8
    assert zero.shape == scale.shape
    assert not zero.any()


def test_a_gemm_with_alpha_is_refused_with_its_reason():
    model = convnet()
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    gemm.attribute.append(helper.make_attribute("alpha", 0.5))
    refusals = {item.name: item.refusal for item in compute_nodes(Graph(model))}
    assert "alpha" in refusals["gemm"]
    assert refusals["conv0"] is None


def test_what_a_control_flow_body_reads_stays_float(feeds, tmp_path):
    """onnxruntime moves a DequantizeLinear on behind a mover, and ends the process where a body reads that."""
    weights = {"w": np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)}
    weights |= {"flat": np.array([1, -1], np.int64), "zero": np.zeros(1, np.float32)}
    branches = {
        name: helper.make_graph(
            [helper.make_node(op, ["row"], [f"{op}_out"], name=op)],
            name,
            [],
            [helper.make_tensor_value_info(f"{op}_out", onnx.TensorProto.FLOAT, None)],
        )
        for name, op in [("then_branch", "Exp"), ("else_branch", "Neg")]
    }
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["map"], name="conv"),
        helper.make_node("Reshape", ["map", "flat"], ["row"], name="reshape"),
        helper.make_node("ReduceMax", ["images"], ["most"], name="max", keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["positive"], name="greater"),
        helper.make_node("If", ["positive"], ["logits"], name="if", **branches),
    ]
    model = make(nodes, weights, {"images": [1, 3, 16, 16]}, {"logits": [1, 1024]})
    (conv,) = compute_nodes(Graph(model))
    assert conv.refusal is not None
    assert "If, Loop or Scan" in conv.refusal
    found, plan = quantized(model, feeds)
    assert not plan.tensors
    optimized_ops(found, tmp_path)  # or onnxruntime ends the process
