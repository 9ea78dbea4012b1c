"""uint8 values become int8 ones and every answer stays what it was, to the last bit."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples

from edge_devices import wants_signed
from edge_runtime.ort.block_session import packed_session
from edge_runtime.prepare import lower as lowering
from edge_runtime.prepare.lower import lower
from edge_runtime.prepare.uint8_to_int8 import uint8_to_int8

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def plain_answers(model, feeds):
    """Every output, with the graph run as it is written."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def check(model, feeds):
    """Re-sign a model, check it and that it gives the same; returns it."""
    found = uint8_to_int8(model.SerializeToString())
    changed = onnx.load_from_string(found)
    onnx.checker.check_model(changed, full_check=True)
    for one, other in zip(plain_answers(model.SerializeToString(), feeds), plain_answers(found, feeds), strict=True):
        np.testing.assert_array_equal(one, other)
    return changed


def graph_of(nodes, constants, inputs, outputs, value_info=()):
    """A checked model of values named NAME or NAME_q (uint8), of shape [4] each."""

    def values(names):
        return [helper.make_tensor_value_info(n, UINT8 if n.endswith("_q") else FLOAT, [4]) for n in names]

    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), tensors, value_info=values(value_info))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def quantize(source, target, zero="z"):
    return helper.make_node("QuantizeLinear", [source, "s", zero], [target])


def dequantize(source, target, zero="z"):
    return helper.make_node("DequantizeLinear", [source, "s", zero], [target])


def constants(**more):
    return {"s": np.float32(0.05), "z": np.uint8(100), **more}


def pair():
    """x -> q -> y"""
    return graph_of([quantize("x", "v_q"), dequantize("v_q", "y")], constants(), ["x"], ["y"], ["v_q"])


def zero_points(model):
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    return [numpy_helper.to_array(tensors[node.input[2]]) for node in nodes if len(node.input) > 2]


def names(model):
    return sorted(tensor.name for tensor in model.graph.initializer)


FEEDS = {"x": np.array([-9, -0.074, 0.125, 9], np.float32)}


def test_a_quantized_convnet_gives_the_same_answers_with_int8_values():
    model = quantized(convnet(), [{"images": image[None]} for image in samples()])[0]
    before = sum(point.dtype == np.uint8 for point in zero_points(model))
    changed = check(model, {"images": samples(2)})
    assert before > 0
    assert all(point.dtype != np.uint8 for point in zero_points(changed))
    assert not any(tensor.data_type == UINT8 for tensor in changed.graph.initializer)


def test_a_zero_point_moves_by_128_and_the_old_one_and_the_old_type_are_dropped():
    changed = check(pair(), FEEDS)
    assert [(point.dtype, point.shape, int(point)) for point in zero_points(changed)] == [(np.int8, (), -28)] * 2
    assert len(names(changed)) == 2
    assert "z" not in names(changed)
    assert not changed.graph.value_info


@settings(max_examples=40)
@given(
    zero=st.integers(0, 255),
    scale=st.floats(2.0**-20, 2.0**20, width=32),
    values=st.lists(st.floats(width=32, allow_nan=False), min_size=4, max_size=4),
)
def test_any_zero_point_and_scale_give_the_same_to_the_last_bit(zero, scale, values):
    model = pair()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(scale), "s"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.uint8(zero), "z"))
    check(model, {"x": np.array(values, np.float32)})


def test_a_zero_point_written_as_int32_numbers_is_understood():
    model = pair()
    model.graph.initializer[1].CopyFrom(helper.make_tensor("z", UINT8, [], [200]))
    assert [int(point) for point in zero_points(check(model, FEEDS))] == [72, 72]


def test_zero_points_of_a_value_each_channel_are_moved_one_by_one():
    model = graph_of(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["v_q"], axis=0),
            helper.make_node("DequantizeLinear", ["v_q", "s", "z"], ["y"], axis=0),
        ],
        {"s": np.full(4, 0.1, np.float32), "z": np.array([0, 127, 128, 255], np.uint8)},
        ["x"],
        ["y"],
    )
    assert zero_points(check(model, FEEDS))[0].tolist() == [-128, -1, 0, 127]


def test_equal_zero_points_become_one_and_different_ones_stay_apart():
    nodes = [
        quantize("x", "a_q"),
        dequantize("a_q", "b", "same"),
        quantize("b", "c_q", "other"),
        dequantize("c_q", "y", "other"),
    ]
    model = graph_of(nodes, constants(same=np.uint8(100), other=np.uint8(7)), ["x"], ["y"])
    changed = check(model, FEEDS)
    assert len(names(changed)) == 3
    assert [int(point) for point in zero_points(changed)] == [-28, -28, -121, -121]


def test_a_zero_point_that_something_else_reads_stays_beside_the_new_one():
    nodes = [quantize("x", "v_q"), dequantize("v_q", "y"), helper.make_node("Identity", ["z"], ["w"])]
    model = graph_of(nodes, constants(), ["x"], ["y"])
    model.graph.output.append(helper.make_tensor_value_info("w", UINT8, []))
    changed = check(model, FEEDS)
    assert "z" in names(changed)
    assert [point.dtype for point in zero_points(changed)] == [np.int8, np.int8]


def test_new_names_are_none_that_the_model_has():
    nodes = [
        quantize("x", "v_q"),
        dequantize("v_q", "zero_point_int8_0"),
        helper.make_node("Neg", ["zero_point_int8_0"], ["y"]),
    ]
    check(graph_of(nodes, constants(), ["x"], ["y"]), FEEDS)


def unchanged(model):
    data = model.SerializeToString()
    return uint8_to_int8(data) is data


def test_values_that_enter_or_leave_stay_uint8_and_so_do_those_around_the_same_layers():
    relu = helper.make_node("Relu", ["b"], ["c"])
    leaving = [quantize("x", "a_q"), dequantize("a_q", "b"), relu, quantize("c", "y_q")]
    entering = [dequantize("x_q", "b"), relu, quantize("c", "d_q"), dequantize("d_q", "y")]
    assert unchanged(graph_of(leaving, constants(), ["x"], ["y_q"]))
    assert unchanged(graph_of(entering, constants(), ["x_q"], ["y"]))


def test_layers_apart_from_a_value_that_stays_uint8_are_changed():
    nodes = [quantize("x", "a_q"), dequantize("a_q", "y"), quantize("v", "w_q")]
    model = graph_of(nodes, constants(), ["x", "v"], ["y", "w_q"])
    changed = check(model, {**FEEDS, "v": FEEDS["x"]})
    assert [point.dtype for point in zero_points(changed)] == [np.int8, np.int8, np.uint8]
    assert [value.type.tensor_type.elem_type for value in changed.graph.output] == [FLOAT, UINT8]


def test_a_value_that_another_node_reads_as_uint8_stays():
    nodes = [quantize("x", "a_q"), dequantize("a_q", "y"), helper.make_node("Cast", ["a_q"], ["w"], to=FLOAT)]
    assert unchanged(graph_of(nodes, constants(), ["x"], ["y", "w"]))


def test_a_value_that_a_subgraph_reads_stays():
    branch = helper.make_graph(
        [dequantize("a_q", "inner")], "branch", [], [helper.make_tensor_value_info("inner", FLOAT, [4])]
    )
    nodes = [
        quantize("x", "a_q"),
        dequantize("a_q", "b"),
        helper.make_node("ReduceMax", ["b"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["if"], to=TensorProto.BOOL),
        helper.make_node("If", ["if"], ["y"], then_branch=branch, else_branch=branch),
    ]
    assert unchanged(graph_of(nodes, constants(), ["x"], ["y"]))


def test_a_zero_point_that_is_no_constant_or_an_input_with_a_default_stays():
    made = helper.make_node("Constant", [], ["z"], value=numpy_helper.from_array(np.uint8(3)))
    nodes = [quantize("x", "a_q"), dequantize("a_q", "y")]
    assert unchanged(graph_of([made, *nodes], {"s": np.float32(1)}, ["x"], ["y"]))
    default = pair()
    default.graph.input.append(helper.make_tensor_value_info("z", UINT8, []))
    assert unchanged(default)


def test_values_that_carry_an_annotation_stay():
    model = pair()
    note = model.graph.quantization_annotation.add(tensor_name="v_q")
    note.quant_parameter_tensor_names.add(key="ZERO_POINT_TENSOR", value="z")
    assert unchanged(model)


def test_layers_with_uint8_weights_stay():
    nodes = [
        quantize("x", "a_q"),
        dequantize("a_q", "b"),
        dequantize("w", "c"),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    assert unchanged(graph_of(nodes, constants(w=np.arange(4, dtype=np.uint8)), ["x"], ["y"]))


def test_a_model_without_quantized_values_is_the_same_bytes():
    assert unchanged(convnet())
    assert unchanged(make([helper.make_node("Neg", ["x"], ["y"])], {}, {"x": [4]}, {"y": [4]}))


def test_what_is_not_understood_of_a_model_stays_where_it_is():
    strange = bytes([0xFD, 0x7F, 1, 2, 3, 4])  # field 2047 of fixed 32 bits
    assert uint8_to_int8(strange + pair().SerializeToString()).startswith(strange)


def test_re_signing_again_changes_nothing():
    once = uint8_to_int8(pair().SerializeToString())
    assert uint8_to_int8(once) is once


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x3a\x05abc", b"\x38\x01", b"\x3a\x02\x08\x01"])
def test_bytes_that_are_no_model_are_a_value_error(data):
    with pytest.raises(ValueError, match="the graph is damaged"):
        uint8_to_int8(data)


DAMAGED = pair().SerializeToString()


@settings(max_examples=200)
@given(place=st.integers(0, len(DAMAGED) - 1), byte=st.integers(0, 255), end=st.integers(0, len(DAMAGED)))
def test_damaged_bytes_are_a_value_error_or_something_to_be_refused_by_onnxruntime(place, byte, end):
    data = bytearray(DAMAGED)
    data[place] = byte
    with contextlib.suppress(ValueError):
        assert isinstance(uint8_to_int8(bytes(data[:end])), bytes)


@pytest.fixture
def external(tmp_path):
    """A quantized convnet whose weights lie in a file of their own, as in a bundle."""
    model = quantized(convnet((3, 16, 32, 32)), [{"images": image[None]} for image in samples()])[0]
    folder = tmp_path / "bundle"
    folder.mkdir()
    onnx.save(model, folder / "block.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64)
    (tmp_path / "prepared").mkdir()
    return folder / "block.onnx"


def test_a_signed_graph_is_lowered_with_the_weights_of_its_folder(external):
    target = external.parent.parent / "prepared" / "block.onnx"
    weights = lower(external, target, 1, signed=True)
    assert sorted(path.name for path in target.parent.iterdir()) == ["block.bin", "block.onnx", "graphs.json"]
    assert weights.size == (target.parent / "block.bin").stat().st_size
    feeds = {"images": samples(1)}
    expected = plain_answers(str(external), feeds)[0]
    found = packed_session(target, 1).run(None, feeds)[0]
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_a_signed_graph_that_onnxruntime_refuses_is_lowered_as_it_was(external, monkeypatch, caplog):
    target = external.parent.parent / "prepared" / "block.onnx"
    expected = lower(external, target, 1, signed=False), target.read_bytes()
    monkeypatch.setattr(lowering, "uint8_to_int8", lambda model: model[:-10])
    with caplog.at_level("DEBUG", "edge_runtime.prepare.lower"):
        assert (lower(external, target, 1, signed=True), target.read_bytes()) == expected
    assert "stays uint8" in caplog.text


def test_the_processor_decides_unless_told(external, monkeypatch):
    asked = []
    monkeypatch.setattr(lowering, "wants_signed", lambda: False)
    monkeypatch.setattr(lowering, "uint8_to_int8", lambda model: asked.append(model) or model)
    target = external.parent.parent / "prepared" / "block.onnx"
    lower(external, target, 1)
    assert not asked
    monkeypatch.setattr(lowering, "wants_signed", lambda: True)
    lower(external, target, 1)
    assert asked == [external.read_bytes()]


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("flags\t: fpu lm avx2\n", False),
        ("Features\t: fp asimd asimddp\n", True),
        ("Features\t: fp asimd crc32\n", False),
        ("Features\t: half vfpv4 asimddp\n", False),
        ("", False),
    ],
)
def test_64_bit_arm_with_dot_products_wants_signed_values(tmp_path, text, signed):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(text)
    assert wants_signed(tmp_path) is signed
