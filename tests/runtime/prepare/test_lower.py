"""Lowering: what the optimizer made of small graphs, kept as a file and its weights."""

import os
import zlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples, save

from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.storage import FileStorage, room
from edge_runtime.bundle.external_data import check_external_data, external_tensors
from edge_runtime.errors import ModelError, OutputError
from edge_runtime.ort.block_session import packed_session, streamed_session
from edge_runtime.ort.process import exact_products
from edge_runtime.prepare.lower import lower

CHANNELS = (3, 16, 32, 32, 48)


def answer(path, feeds):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    for key, value in exact_products().items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


def operators(path):
    return [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]


def int8_convnet():
    return quantized(convnet(CHANNELS), [{"images": image[None]} for image in samples()])[0]


def test_a_convnet_is_fused_and_its_weights_lie_beside_it(tmp_path):
    source = save(convnet(CHANNELS), tmp_path / "source.onnx")
    target = tmp_path / "lowered.onnx"
    weights = lower(source, target, 1)
    data = (tmp_path / "lowered.bin").read_bytes()
    assert (weights.file, weights.size, weights.crc32) == ("lowered.bin", len(data), zlib.crc32(data))
    assert (weights.packed, weights.packed_bytes) == ("", 0)
    assert "Relu" not in operators(target)
    check_external_data(target.read_bytes(), "lowered.bin", len(data))
    feeds = {"images": samples(2)}
    np.testing.assert_allclose(packed_session(target, 1).run(None, feeds)[0], answer(source, feeds), atol=1e-4)


def test_an_int8_convnet_becomes_integer_kernels(tmp_path):
    source = save(int8_convnet(), tmp_path / "source.onnx")
    lower(source, tmp_path / "lowered.onnx", 1)
    assert operators(tmp_path / "lowered.onnx").count("QLinearConv") == 4
    tensors = external_tensors((tmp_path / "lowered.onnx").read_bytes())
    assert {tensor.data_type for tensor in tensors} <= {TensorProto.INT8, TensorProto.UINT8}
    feeds = {"images": samples(1)}
    found = packed_session(tmp_path / "lowered.onnx", 1).run(None, feeds)[0]
    np.testing.assert_array_equal(found, answer(source, feeds))


def test_half_precision_weights_behind_a_cast_are_stored_as_float32(tmp_path):
    values = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    source = save(make(nodes, {"half": values}, {"x": ["n", 64]}, {"y": ["n", 64]}), tmp_path / "source.onnx")
    assert lower(source, tmp_path / "lowered.onnx", 1).size == 64 * 64 * 4
    assert operators(tmp_path / "lowered.onnx") == ["MatMul"]


def test_a_block_with_weights_in_another_folder_is_lowered(tmp_path):
    bundle, prepared = tmp_path / "bundle", tmp_path / "prepared"
    bundle.mkdir()
    prepared.mkdir()
    onnx.save(
        convnet(CHANNELS), bundle / "block.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64
    )
    weights = lower(bundle / "block.onnx", prepared / "block.onnx", 1)
    assert sorted(path.name for path in prepared.iterdir()) == ["block.bin", "block.onnx", "graphs.json"]
    assert weights.size == (prepared / "block.bin").stat().st_size
    feeds = {"images": samples(1)}
    found = packed_session(prepared / "block.onnx", 1).run(None, feeds)[0]
    np.testing.assert_allclose(found, answer(bundle / "block.onnx", feeds), atol=1e-4)


def test_small_weights_stay_in_the_graph_and_leave_no_file(tmp_path):
    (tmp_path / "lowered.bin").write_bytes(b"of an older attempt")
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    model = make([node], {"w": np.arange(4, dtype=np.float32)}, {"x": ["n", 4]}, {"y": ["n", 4]})
    assert lower(save(model, tmp_path / "source.onnx"), tmp_path / "lowered.onnx", 1) is None
    assert not (tmp_path / "lowered.bin").exists()
    found = packed_session(tmp_path / "lowered.onnx", 1).run(None, {"x": np.ones((1, 4), np.float32)})[0]
    assert found.tolist() == [[0, 1, 2, 3]]


def choice(outer_size):
    """y = x @ w @ (a or b): two of the weights lie in the branches of an If."""

    def branch(name, seed):
        values = np.random.default_rng(seed).standard_normal((outer_size, 64)).astype(np.float32)
        return helper.make_graph(
            [helper.make_node("MatMul", ["h", name], [f"y{name}"])],
            name,
            [],
            [helper.make_tensor_value_info(f"y{name}", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values, name)],
        )

    outer = np.random.default_rng(0).standard_normal((4, outer_size)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("If", ["first"], ["y"], then_branch=branch("a", 1), else_branch=branch("b", 2)),
        ],
        "choice",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("first", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(outer, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("outer_size", [16, 256])
def test_weights_of_subgraphs_are_kept_whether_or_not_the_graph_has_any_of_its_own(tmp_path, outer_size):
    source = save(choice(outer_size), tmp_path / "source.onnx")
    weights = lower(source, tmp_path / "lowered.onnx", 1)
    own = external_tensors((tmp_path / "lowered.onnx").read_bytes())
    assert len(own) == (outer_size == 256)
    assert weights.size >= 2 * outer_size * 64 * 4 + sum(tensor.length for tensor in own)
    data = Arena(room(weights.size)).view(0, "uint8", (room(weights.size),))
    FileStorage(tmp_path).read(weights, data)
    streamed, _kept = streamed_session(tmp_path / "lowered.onnx", data, 1)
    for first in (True, False):
        feeds = {"x": np.ones((2, 4), np.float32), "first": np.array(first)}
        for session in (packed_session(tmp_path / "lowered.onnx", 1), streamed):
            np.testing.assert_allclose(session.run(None, feeds)[0], answer(source, feeds), rtol=1e-4, atol=1e-3)


def test_lowering_again_over_a_longer_file_gives_the_same(tmp_path):
    source, target = save(convnet(CHANNELS), tmp_path / "source.onnx"), tmp_path / "lowered.onnx"
    first, graph = lower(source, target, 1), target.read_bytes()
    (tmp_path / "lowered.bin").write_bytes(bytes(1_000_000))
    target.write_bytes(bytes(100_000))
    assert lower(source, target, 1) == first
    assert target.read_bytes() == graph


@pytest.mark.parametrize("data", [b"", b"garbage", None])
def test_a_graph_that_does_not_load_is_a_model_error_of_one_line(tmp_path, data):
    if data is not None:
        (tmp_path / "source.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"cannot optimize .*source\.onnx") as raised:
        lower(tmp_path / "source.onnx", tmp_path / "lowered.onnx", 1)
    assert "\n" not in str(raised.value)


def test_a_folder_that_cannot_be_written_is_a_model_error_of_one_line(tmp_path):
    source = save(convnet(CHANNELS), tmp_path / "source.onnx")
    with pytest.raises(ModelError) as raised:
        lower(source, tmp_path / "none" / "lowered.onnx", 1)
    assert "\n" not in str(raised.value)


def test_a_disk_that_is_full_is_an_output_error(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    source = save(convnet(CHANNELS), tmp_path / "source.onnx")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"lowered\.bin: No space left on device"):
        lower(source, tmp_path / "lowered.onnx", 1)


def test_weights_whose_sizes_are_no_multiple_of_anything_are_whole(tmp_path):
    rows = [np.random.default_rng(i).integers(-9, 9, (1, size), np.int8) for i, size in enumerate((1025, 2049, 1031))]
    graph = helper.make_graph(
        [
            helper.make_node("Concat", ["a", "b", "c"], ["row"], axis=1),
            helper.make_node("Gather", ["row", "index"], ["found"], axis=1),
        ],
        "odd",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("found", TensorProto.INT8, [1, "n"])],
        [numpy_helper.from_array(row, name) for row, name in zip(rows, "abc", strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    weights = lower(save(model, tmp_path / "source.onnx"), tmp_path / "lowered.onnx", 1)
    assert weights.size == 1025 + 2049 + 1031
    everything = {"index": np.arange(weights.size)}
    found = packed_session(tmp_path / "lowered.onnx", 1).run(None, everything)[0]
    np.testing.assert_array_equal(found, np.concatenate(rows, axis=1))
