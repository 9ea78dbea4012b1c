"""int4 block-wise weights against numpy and against onnxruntime's MatMulNBits."""

import itertools

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import helper, numpy_helper
from tiny_models import make, sqnr_db

from edge_export.blocks.chain import ChainCheck
from edge_export.blocks.cut_points import choose_cut_points, weight_sizes
from edge_export.blocks.sequence import make_sequence
from edge_export.graph import Graph
from edge_export.quant.int4 import (
    SMALLEST_BYTES,
    block_of,
    import_microsoft,
    int4_able,
    int4_nodes,
    int4_weight,
    quantize_int4,
)
from edge_export.quant.select import compute_nodes
from edge_export.run import open_session, run, value_facts

ROWS, HIDDEN = 128, 512  # 256 kB of float32


def mlp(seed=0):
    """x [batch, ROWS] -> MatMul, Relu -> Gemm with transposed weights and a bias -> y."""
    rng = np.random.default_rng(seed)
    weights = {
        "w": (rng.standard_normal((ROWS, HIDDEN)) / np.sqrt(ROWS)).astype(np.float32),
        "v": (rng.standard_normal((ROWS, HIDDEN)) / np.sqrt(HIDDEN)).astype(np.float32),
        "c": rng.standard_normal(ROWS).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "v", "c"], ["y"], name="second", transB=1),
    ]
    return make(nodes, weights, {"x": ["batch", ROWS]}, {"y": ["batch", ROWS]}, opset=13)


def able_nodes(graph):
    return [item for item in compute_nodes(graph) if int4_able(graph, item)]


def in_int4(model, exact=False):
    """The model with every able node in int4; `exact`: with the float weights that int4 stands for."""
    graph = Graph(model)
    able = {item.name: item for item in able_nodes(graph)}
    nodes, constants = [], {name: graph.weights[name] for name in graph.weights}
    for node in model.graph.node:
        item = able.get(node.name)
        if item is None:
            nodes.append(node)
            continue
        weight = int4_weight(item, graph.array(item.weight))
        del constants[item.weight]
        if exact:
            real = weight.dequantize().T if item.axis == 0 else weight.dequantize()
            constants[item.weight] = numpy_helper.from_array(np.ascontiguousarray(real), item.weight)
            nodes.append(node)
            continue
        made, stored = int4_nodes(node, f"{item.weight}_4", weight)
        nodes += made
        constants.update({tensor.name: tensor for tensor in stored})
    body = helper.make_graph(nodes, "int4", model.graph.input, model.graph.output, list(constants.values()))
    found = helper.make_model(body, opset_imports=model.opset_import, ir_version=model.ir_version)
    import_microsoft(found)
    return found


def matrices(columns=3):
    rows = st.sampled_from([32, 64, 96])
    values = st.floats(-1e3, 1e3, width=32)
    return rows.flatmap(lambda count: arrays.arrays(np.float32, (count, columns), elements=values))


@settings(max_examples=40)
@given(matrices())
def test_values_inside_a_blocks_range_are_within_half_its_scale(weight):
    found = quantize_int4(weight)
    columns, count = found.scales.shape
    values = weight.T.reshape(columns, count, found.block)
    real = found.dequantize().T.reshape(columns, count, found.block)
    low, high = real.min(axis=2, keepdims=True), real.max(axis=2, keepdims=True)
    inside = (values >= low) & (values <= high)
    bound = found.scales[..., None] * 0.5 * (1 + 1e-4) + 1e-6 * np.abs(values)
    worst = np.where(inside, np.abs(values - real) - bound, -1.0).max()
    assert worst <= 0, f"the largest excess is {worst}"


@settings(max_examples=40)
@given(matrices())
def test_searched_ranges_are_no_worse_than_the_whole_range(weight):
    real = quantize_int4(weight).dequantize()
    blocks = weight.T.reshape(weight.shape[1], -1, 32).astype(np.float64)
    low, high = np.minimum(blocks.min(2, keepdims=True), 0), np.maximum(blocks.max(2, keepdims=True), 0)
    scale = np.maximum((high - low) / 15, 1e-30)
    zero = np.clip(np.rint(-low / scale), 0, 15)
    plain = (np.clip(np.rint(blocks / scale) + zero, 0, 15) - zero) * scale
    searched, whole = np.square(real - weight, dtype=np.float64).sum(), np.square(plain - blocks).sum()
    nothing = 1e-40  # squares of weights so small that float32 cannot hold them
    assert searched <= whole * (1 + 1e-3) + 1e-6 * np.square(blocks).sum() + nothing


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([16, 32, 64]), st.integers(0, 99))
def test_what_is_16_levels_already_comes_back(columns, count, block, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 16, (count, block, columns))
    codes[:, 0], codes[:, 1] = 0, 15
    weight = ((codes - 6) * np.float32(0.25)).reshape(-1, columns).astype(np.float32)
    found = quantize_int4(weight, block)
    assert found.shape == weight.shape
    assert found.block == block
    assert np.array_equal(found.dequantize(), weight)


@pytest.mark.parametrize("rows", [32, 96, 128])
def test_onnxruntime_multiplies_by_what_dequantize_says(rows):
    rng = np.random.default_rng(rows)
    weight = rng.laplace(size=(rows, 40)).astype(np.float32)
    found = quantize_int4(weight)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="only")
    nodes, constants = int4_nodes(node, "w4", found)
    shapes = [helper.make_tensor_value_info(n, 1, ["a", "b", size]) for n, size in (("x", rows), ("y", 40))]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    import_microsoft(model)
    x = rng.standard_normal((2, 7, rows)).astype(np.float32)
    level = sqnr_db(x @ found.dequantize(), run(open_session(model), {"x": x})["y"])
    assert level > 100, f"{level:.1f} dB: only the rounding of float sums may differ"


def test_normal_weights_keep_22_db():
    weight = np.random.default_rng(0).standard_normal((256, 64)).astype(np.float32)
    found = quantize_int4(weight)
    level = sqnr_db(weight, found.dequantize())
    assert level > 21.8, f"{level:.2f} dB"
    assert found.nbytes < 0.165 * weight.nbytes


def test_zeros_and_denormals_stay_zeros():
    weight = np.full((32, 2), 1e-40, np.float32)
    weight[:, 0] = 0
    assert np.array_equal(quantize_int4(weight).dequantize(), np.zeros((32, 2), np.float32))


def test_matmul_and_gemm_become_int4_and_answer_alike():
    model = mlp()
    found = in_int4(model)
    assert [node.op_type for node in found.graph.node] == ["MatMulNBits", "Relu", "MatMulNBits", "Add"]
    feed = {"x": np.random.default_rng(1).standard_normal((5, ROWS)).astype(np.float32)}
    expected, answer = run(open_session(in_int4(model, exact=True)), feed)["y"], run(open_session(found), feed)["y"]
    assert sqnr_db(expected, answer) > 100
    assert sqnr_db(run(open_session(model), feed)["y"], answer) > 15


def test_packed_and_unpacked_weights_give_one_answer():
    """The block engine streams weights, which kernels then cannot pack; a device compares both forms."""
    found = in_int4(mlp()).SerializeToString()
    feed = {"x": np.random.default_rng(1).standard_normal((5, ROWS)).astype(np.float32)}
    answers = []
    for unpacked in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_prepacking", unpacked)
        session = onnxruntime.InferenceSession(found, options, providers=["CPUExecutionProvider"])
        answers.append(session.run(None, feed)[0])
    assert sqnr_db(*answers) > 90


def test_small_weights_odd_rows_and_convolutions_are_not_able():
    model = mlp()
    assert [item.name for item in able_nodes(Graph(model))] == ["first", "second"]
    small = np.zeros((ROWS, SMALLEST_BYTES // 4 // ROWS - 1), np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(small, "w"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros((600, 500), np.float32), "v"))
    assert able_nodes(Graph(model)) == []
    assert (block_of(768), block_of(48), block_of(500), block_of(0)) == (32, 16, None, None)


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}, {"transA": 1}])
def test_a_gemm_that_scales_is_refused(attributes):
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"], name="gemm", **attributes)
    with pytest.raises(ValueError, match="gemm"):
        int4_nodes(node, "w4", quantize_int4(np.ones((32, 2), np.float32)))


@pytest.mark.parametrize("weight", [np.zeros((31, 2)), np.zeros(32), np.zeros((32, 0)), np.full((32, 1), np.nan)])
def test_what_has_no_int4_form_is_refused(weight):
    with pytest.raises(ValueError, match="int4 needs"):
        quantize_int4(weight.astype(np.float32))


def test_the_import_is_added_once():
    model = mlp()
    import_microsoft(model)
    import_microsoft(model)
    assert [item.domain for item in model.opset_import] == ["", "com.microsoft"]


def test_a_graph_with_int4_can_be_cut_in_blocks(tmp_path):
    model = in_int4(mlp())
    feeds = [{"x": np.random.default_rng(1).standard_normal((3, ROWS)).astype(np.float32)}]
    sequence = make_sequence(model)
    made = [name for node in sequence.main for name in node.output]
    facts = value_facts(model, feeds[0], made)
    places = choose_cut_points(sequence, weight_sizes(model), facts, 40_000)
    assert places
    edges = [0, *places, len(sequence.main)]
    cuts = [sequence.block(start, stop) for start, stop in itertools.pairwise(edges)]
    for optimize in (False, True):
        assert ChainCheck(model, feeds, tmp_path, optimize).same(cuts, facts)
