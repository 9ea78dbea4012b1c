"""Sparse weights: exact, smaller, and gone from the graph that onnxruntime runs."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from edge_export.quant.sparse import sparse_bytes, sparse_nodes, worth_it, zero_share

SHAPE = (16, 8, 3, 3)


def model_of(nodes, constants, inputs, outputs, opset=13):
    graph = helper.make_graph(
        nodes,
        "sparse",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def opened(model, level="ORT_ENABLE_ALL", target=None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    if target is not None:
        options.optimized_model_filepath = str(target)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def dense(values, level="ORT_DISABLE_ALL"):
    """What onnxruntime makes of the stored form."""
    nodes, constants, name = sparse_nodes("w", values)
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    return opened(model_of(nodes, constants, {}, {name: (kind, values.shape)}), level).run(None, {})[0]


def pruned(density, shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 128, shape) * (rng.random(shape) < density)).astype(np.int8)


def conv_graph(values, form, sparse):
    """A Conv whose int8 weights are stored dense or sparse, behind a DequantizeLinear or a Cast and a Mul."""
    scale = np.linspace(0.001, 0.01, values.shape[0], dtype=np.float32)
    nodes, constants, name = sparse_nodes("w", values) if sparse else ([], [numpy_helper.from_array(values, "w")], "w")
    arrays_ = {"a": np.array(0.05, np.float32), "z": np.array(128, np.uint8)}
    if form == "qdq":
        arrays_["s"] = scale
        nodes += [
            helper.make_node("QuantizeLinear", ["x", "a", "z"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "a", "z"], ["xd"]),
            helper.make_node("DequantizeLinear", [name, "s"], ["wd"], axis=0),
            helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[1] * 4),
            helper.make_node("QuantizeLinear", ["c", "a", "z"], ["cq"]),
            helper.make_node("DequantizeLinear", ["cq", "a", "z"], ["y"]),
        ]
    else:
        arrays_ = {"s": scale.reshape(-1, 1, 1, 1)}
        nodes += [
            helper.make_node("Cast", [name], ["wc"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["wc", "s"], ["wd"]),
            helper.make_node("Conv", ["x", "wd"], ["y"], pads=[1] * 4),
        ]
    constants = constants + [numpy_helper.from_array(array, key) for key, array in arrays_.items()]
    output = {"y": (TensorProto.FLOAT, [1, values.shape[0], 8, 8])}
    return model_of(nodes, constants, {"x": [1, values.shape[1], 8, 8]}, output)


@settings(max_examples=40)
@given(
    arrays.arrays(
        np.int8,
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=9),
        elements=st.one_of(st.just(0), st.integers(-128, 127)),
    )
)
def test_onnxruntime_puts_back_every_value(values):
    found = dense(values)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 1999), max_size=6, unique=True), st.integers(0, 1))
def test_gaps_longer_than_a_code_are_bridged(places, odd):
    values = np.zeros(2000 + odd, np.int8)
    values[places] = 7
    assert np.array_equal(dense(values), values)


@pytest.mark.parametrize("density", [0.5, 0.2, 0.02])
def test_what_is_stored_takes_the_bytes_that_were_told(density):
    values = pruned(density, (64, 64, 3, 3))
    nodes, constants, _ = sparse_nodes("w", values)
    stored = sum(numpy_helper.to_array(item).nbytes for item in constants)
    assert stored < 0.8 * values.nbytes
    written = sum(len(item.SerializeToString()) for item in (*nodes, *constants))
    assert written <= sparse_bytes(values), f"{written} bytes are written, {sparse_bytes(values)} were told"


@pytest.mark.parametrize("level", ["ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("form", ["qdq", "cast and mul"])
@pytest.mark.parametrize("density", [0.4, 0.02])
def test_onnxruntime_runs_the_same_graph_as_with_dense_weights(level, form, density, tmp_path):
    values = pruned(density)
    feed = {"x": np.random.default_rng(1).standard_normal((1, SHAPE[1], 8, 8)).astype(np.float32)}
    answers, graphs = [], []
    for sparse in (True, False):
        target = tmp_path / f"{sparse}.onnx"
        session = opened(conv_graph(values, form, sparse), level, target)
        answers.append(session.run(None, feed)[0])
        graphs.append(sorted(node.op_type for node in onnx.load(target).graph.node))
    assert graphs[0] == graphs[1]
    assert ("QLinearConv" in graphs[0]) == (form == "qdq" and level == "ORT_ENABLE_ALL")
    assert np.array_equal(answers[0], answers[1])


def test_half_weights_are_stored_sparse_too():
    values = (pruned(0.3) / 128).astype(np.float16)
    found = dense(values, "ORT_ENABLE_ALL")
    assert found.dtype == np.float16
    assert np.array_equal(found, values)


def test_a_scalar_and_a_tensor_of_zeros_come_back():
    for values in (np.array(5, np.int8), np.zeros((3, 4), np.int8)):
        found = dense(values)
        assert found.shape == values.shape
        assert np.array_equal(found, values)


def test_only_tensors_that_shrink_are_worth_it():
    assert worth_it(pruned(0.3, (64, 64, 3, 3)))
    assert not worth_it(pruned(0.9, (64, 64, 3, 3)))
    assert not worth_it(pruned(0.1, (8, 8, 3, 3)))
    assert not worth_it(np.zeros(0, np.int8))


def test_an_empty_tensor_is_refused():
    with pytest.raises(ValueError, match="found 0"):
        sparse_nodes("w", np.zeros((0, 3), np.int8))


def test_the_share_of_zeros_is_counted():
    assert zero_share(np.array([0, 1, 0, 2], np.int8)) == 0.5
    assert zero_share(np.zeros(0, np.int8)) == 0.0
