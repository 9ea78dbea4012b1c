"""The clean pass: whatever a file looks like, the clean graph answers as the file does, or the refusal is true."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from places import SHARED_DATA

from edge_export.passes.clean import clean_graph
from edge_export.probe import difference, open_session, run_session
from edge_runtime.errors import EdgelineError, ModelError

DATA = SHARED_DATA


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs, outputs, weights=None, opset=17, domains=(), **fields):
    weights = weights or {}
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, tensors)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in domains)]
    return helper.make_model(graph, opset_imports=imports, **{"ir_version": 8, **fields})


def answers(model, feed):
    return run_session(open_session(model), feed)


def conv_bn(opset=17, batch="N", listed=False, names=True):
    """Conv -> BatchNormalization -> Relu -> GlobalAveragePool -> Flatten, on [batch, 3, 8, 8]."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "scale": rng.uniform(0.5, 2, 4).astype(np.float32),
        "bias": rng.standard_normal(4).astype(np.float32),
        "mean": rng.standard_normal(4).astype(np.float32),
        "var": rng.uniform(0.5, 2, 4).astype(np.float32),
    }
    steps = [
        ("Conv", ["x", "w"], "c"),
        ("BatchNormalization", ["c", "scale", "bias", "mean", "var"], "n"),
        ("Relu", ["n"], "r"),
        ("GlobalAveragePool", ["r"], "p"),
        ("Flatten", ["p"], "y"),
    ]
    nodes = [helper.make_node(op, ins, [out], name="same" if names else "") for op, ins, out in steps]
    inputs = [value("x", [batch, 3, 8, 8])]
    if listed:
        inputs += [value(name, list(array.shape)) for name, array in weights.items()]
    fields = {"ir_version": 3} if listed else {}
    return model_of(nodes, inputs, [value("y", [batch, 4])], weights, opset, **fields)


def test_batch_normalization_is_folded_into_the_convolution():
    cleaned = clean_graph(conv_bn(), {})
    assert [node.op_type for node in cleaned.model.graph.node] == [
        "Conv",
        "Relu",
        "GlobalAveragePool",
        "Flatten",
    ]


@pytest.mark.parametrize("opset", [7, 11, 13, 20])
def test_a_clean_model_answers_as_the_original_does(opset):
    original = conv_bn(opset, names=False)
    cleaned = clean_graph(original, {})
    for batch in (1, 3):
        feed = {"x": np.random.default_rng(batch).random((batch, 3, 8, 8), dtype=np.float32)}
        assert difference(answers(original, feed), answers(cleaned.model, feed)) is None
    assert cleaned.opset_ok
    onnx.checker.check_model(cleaned.model, full_check=True)


def test_cleaning_twice_gives_the_same_bytes():
    once = clean_graph(conv_bn(11), {}).model.SerializeToString(deterministic=True)
    assert once == clean_graph(conv_bn(11), {}).model.SerializeToString(deterministic=True)


def test_the_original_is_not_touched():
    original = conv_bn(11)
    before = original.SerializeToString()
    clean_graph(original, {})
    assert original.SerializeToString() == before


@pytest.mark.parametrize("names", [True, False])
def test_every_node_gets_a_name_of_its_own(names):
    found = [node.name for node in clean_graph(conv_bn(names=names), {}).model.graph.node]
    assert all(found)
    assert len(set(found)) == len(found)


def test_weights_that_an_old_file_lists_as_inputs_become_constants():
    cleaned = clean_graph(conv_bn(7, listed=True), {})
    assert [v.name for v in cleaned.model.graph.input] == ["x"]
    assert cleaned.model.ir_version >= 8
    assert any("listed as inputs" in note for note in cleaned.notes)


def test_nodes_out_of_order_are_sorted():
    model = conv_bn()
    nodes = list(model.graph.node)[::-1]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    assert clean_graph(model, {}).model.graph.node[0].op_type == "Conv"


def test_metadata_survives():
    model = conv_bn(11)
    helper.set_model_props(model, {"names": "{0: 'a'}"})
    assert {p.key: p.value for p in clean_graph(model, {}).model.metadata_props} == {"names": "{0: 'a'}"}


def test_an_operator_of_a_custom_domain_is_refused_by_name():
    model = model_of(
        [helper.make_node("Sharpen", ["x"], ["y"], domain="acme")],
        [value("x", [1, 3])],
        [value("y", [1, 3])],
        domains=[("acme", 1)],
    )
    with pytest.raises(ModelError, match=r"operator Sharpen of 'acme' is a custom one"):
        clean_graph(model, {})


def test_an_opset_from_the_future_is_refused_with_its_number():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1])], [value("y", [1])], opset=999)
    with pytest.raises(ModelError, match="opset 999 is newer"):
        clean_graph(model, {})


def test_an_unknown_standard_operator_is_refused_with_onnxruntimes_reason():
    model = model_of([helper.make_node("Frobnicate", ["x"], ["y"])], [value("x", [1])], [value("y", [1])])
    with pytest.raises(ModelError, match="Frobnicate"):
        clean_graph(model, {})


@pytest.mark.parametrize("what", ["nodes", "outputs"])
def test_an_empty_graph_is_refused(what):
    model = conv_bn()
    del (model.graph.node if what == "nodes" else model.graph.output)[:]
    with pytest.raises(ModelError, match=f"has no {what}"):
        clean_graph(model, {})


def test_a_sequence_as_input_is_refused():
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    model = model_of(
        [helper.make_node("SequenceLength", ["s"], ["y"])], [sequence], [value("y", [], TensorProto.INT64)]
    )
    with pytest.raises(ModelError, match="'s' is of type sequence"):
        clean_graph(model, {})


def test_a_zipmap_is_replaced_by_its_scores():
    zipmap = helper.make_node("ZipMap", ["s"], ["scores"], domain="ai.onnx.ml", classlabels_strings=["a", "b"])
    maps = helper.make_value_info(
        "scores",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        ),
    )
    model = model_of(
        [helper.make_node("Softmax", ["x"], ["s"]), zipmap], [value("x", ["N", 2])], [maps], domains=[("ai.onnx.ml", 1)]
    )
    cleaned = clean_graph(model, {})
    (scores,) = answers(cleaned.model, {"x": np.zeros((2, 2), np.float32)})
    assert scores.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert [entry.domain for entry in cleaned.model.opset_import] == [""]


def test_a_model_that_draws_random_numbers_is_left_alone():
    model = model_of(
        [helper.make_node("RandomNormalLike", ["x"], ["n"]), helper.make_node("Add", ["x", "n"], ["y"])],
        [value("x", [1, 4])],
        [value("y", [1, 4])],
    )
    cleaned = clean_graph(model, {})
    assert cleaned.probe is None
    assert any("differently each time" in note for note in cleaned.notes)


def test_control_flow_keeps_both_branches():
    def branch(name, op):
        return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [value(name, [1, 2])])

    model = model_of(
        [helper.make_node("If", ["flag"], ["y"], then_branch=branch("t", "Neg"), else_branch=branch("e", "Abs"))],
        [value("flag", [], TensorProto.BOOL), value("x", [1, 2])],
        [value("y", [1, 2])],
        opset=11,
    )
    cleaned = clean_graph(model, {})
    names = {n.name for n in cleaned.model.graph.node}
    for flag, expected in ((True, [[1.0, -2.0]]), (False, [[1.0, 2.0]])):
        feed = {"flag": np.array(flag), "x": np.array([[-1, 2]], np.float32)}
        assert answers(cleaned.model, feed)[0].tolist() == expected
    assert all(names)


def test_image_scaler_becomes_standard_operators_so_that_the_opset_can_rise():
    model = model_of(
        [helper.make_node("ImageScaler", ["x"], ["y"], scale=0.5, bias=[1.0, 2.0, 3.0])],
        [value("x", [1, 3, 2, 2])],
        [value("y", [1, 3, 2, 2])],
        opset=7,
    )
    cleaned = clean_graph(model, {})
    assert cleaned.opset_ok
    (found,) = answers(cleaned.model, {"x": np.full((1, 3, 2, 2), 2, np.float32)})
    assert found[0, :, 0, 0].tolist() == [2.0, 3.0, 4.0]


def test_a_quantized_graph_keeps_its_pairs():
    weights = {
        "s": np.float32(0.1),
        "z": np.uint8(128),
        "wq": np.arange(-32, 32, dtype=np.int8).reshape(8, 8),
        "wz": np.int8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["wq", "s", "wz"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["y"]),
    ]
    cleaned = clean_graph(model_of(nodes, [value("x", ["N", 8])], [value("y", ["N", 8])], weights), {})
    assert [n.op_type for n in cleaned.model.graph.node].count("DequantizeLinear") == 2


@pytest.mark.parametrize("name", ["mlperftiny_resnet8_float", "mlperftiny_resnet8_int8", "winml_squeezenet_fp16"])
def test_real_models_answer_the_same(name):
    path = DATA / "models" / f"{name}.onnx"
    if not path.exists():
        pytest.skip("../shared/data is absent")
    cleaned = clean_graph(onnx.load(path), {})
    assert cleaned.probe is not None
    assert cleaned.probe.compare(cleaned.model) is None
    assert cleaned.opset_ok


@settings(max_examples=25)
@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_flipped_byte_never_gives_a_traceback(position, byte):
    data = bytearray(conv_bn(batch=1).SerializeToString())
    data[position % len(data)] = byte
    try:
        damaged = onnx.ModelProto.FromString(bytes(data))
    except Exception:  # noqa: BLE001 - a file that does not parse never reaches the pass
        return
    try:
        cleaned = clean_graph(damaged, {})
    except EdgelineError:
        return
    assert cleaned.model.graph.node
