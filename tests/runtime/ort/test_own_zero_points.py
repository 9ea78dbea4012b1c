"""Weights get zero points of their own, and every answer stays what it was, to the last bit."""

import contextlib
import platform
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_devices.interpreter import python_environment
from edge_runtime.cli.sample import find_sample
from edge_runtime.ort import process
from edge_runtime.ort.own_zero_points import with_own_zero_points
from edge_runtime.ort.process import load_session

FLOAT = TensorProto.FLOAT
RNG = np.random.default_rng(0)
QEMU = shutil.which("qemu-x86_64-static") if platform.machine() == "x86_64" else None
# A processor without VNNI, and the kernel's word of the one below it left aside. The sample's answer to a plain input.
OPEN_SAMPLE = """
import sys
import numpy as np
from pathlib import Path
from edge_runtime.ort import process
process.saturates_int8 = lambda: True
options = process.block_options(process.import_onnxruntime(), 1, packed=True, optimized=False)
options.graph_optimization_level = process.import_onnxruntime().GraphOptimizationLevel.ORT_ENABLE_ALL
session = process.load_session(Path(sys.argv[1]), options, "the sample")
value = session.get_inputs()[0]
image = np.linspace(0, 1, 640 * 640, dtype=np.float32).reshape(1, 1, 640, 640)
np.save(sys.argv[2], session.run(None, {value.name: image})[0])
"""


def layers(*inputs, dtype=np.int8, per_channel=True, channels=4):
    """One layer behind another, y = x @ dequantized weights, that read these: weights, scale and zero point."""
    low = 0 if dtype == np.uint8 else -100
    constants = {}
    nodes, value = [], "x"
    for number, names in enumerate(inputs):
        scale = RNG.random(channels).astype(np.float32) if per_channel else np.asarray(np.float32(0.5))
        made = [RNG.integers(low, 100, (4, channels)).astype(dtype), scale, np.zeros_like(scale, dtype=dtype)]
        for name, array in zip(names, made, strict=False):
            constants.setdefault(name, numpy_helper.from_array(array, name))
        nodes.append(helper.make_node("DequantizeLinear", names, [f"d{number}"], axis=1))
        value, before = f"y{number}", value
        nodes.append(helper.make_node("MatMul", [before, f"d{number}"], [value]))
    ends = (helper.make_tensor_value_info(name, FLOAT, ["n", size]) for name, size in (("x", 4), (value, channels)))
    graph = helper.make_graph(nodes, "g", [next(ends)], [next(ends)], list(constants.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_sizes_that_a_file_only_claims_take_no_memory():
    model = layers(("w", "s"), ("v", "s"))
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "s")
    scale.dims[:] = [1 << 40, 1 << 20]
    with pytest.raises(ValueError, match="would take more than"):
        with_own_zero_points(model.SerializeToString())


def answer(graph):
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones((2, 4), np.float32)})[0]


def check(before):
    """Give a model's weights zero points of their own, and check that it is whole and gives the same."""
    after = with_own_zero_points(before.SerializeToString())
    found = onnx.load_from_string(after)
    onnx.checker.check_model(found, full_check=True)
    np.testing.assert_array_equal(answer(after), answer(before.SerializeToString()))
    assert with_own_zero_points(after) is None
    dequantizing = [node for node in found.graph.node if node.op_type == "DequantizeLinear"]
    own = [name for node in dequantizing for name in (node.input[0], node.input[2])]
    assert len(own) == len(set(own))
    return {one.name: one for one in found.graph.initializer}, dequantizing


@given(st.integers(1, 5), st.booleans())
def test_weights_without_a_zero_point_get_one_of_their_scale_s_shape(channels, per_channel):
    constants, (node,) = check(layers(("w", "s"), per_channel=per_channel, channels=channels))
    zero = constants[node.input[2]]
    assert (zero.data_type, tuple(zero.dims)) == (TensorProto.INT8, (channels,) if per_channel else ())


def test_each_layer_has_a_zero_point_of_its_own():
    check(layers(("w", "s"), ("v", "t")))
    check(layers(("w", "s", "z"), ("v", "t", "z")))


def test_each_layer_has_weights_of_its_own():
    constants, (first, second, _) = check(layers(("w", "s", "z"), ("w", "s", "z"), ("u", "t", "q")))
    assert first.input[0] == "w"
    copy = constants[second.input[0]]
    np.testing.assert_array_equal(numpy_helper.to_array(copy), numpy_helper.to_array(constants["w"]))


@pytest.mark.parametrize("changes", [{"dtype": np.int8}, {"dtype": np.uint8}])
def test_what_lacks_nothing_stays_as_it_is(changes):
    assert with_own_zero_points(layers(("w", "s", "z"), ("v", "t", "q"), **changes).SerializeToString()) is None


def test_uint8_weights_need_none_of_their_own():
    assert with_own_zero_points(layers(("w", "s"), ("w", "s"), dtype=np.uint8).SerializeToString()) is None


@given(st.data())
def test_damaged_bytes_are_a_value_error_or_a_model(data):
    whole = bytearray(layers(("w", "s")).SerializeToString())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        with_own_zero_points(bytes(whole))


def test_a_session_of_exact_sums_is_opened_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "exact_products", lambda: {"session.x64quantprecision": "1"})
    seen = []
    real = process.with_own_zero_points
    monkeypatch.setattr(process, "with_own_zero_points", lambda graph: seen.append(real(graph)) or seen[-1])
    file = tmp_path / "model.onnx"
    onnx.save_model(
        layers(("w", "s"), channels=64),
        file,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=16,
        convert_attribute=False,
    )
    session = load_session(file, process.import_onnxruntime().SessionOptions(), "a model")
    assert len(onnx.load_from_string(seen[0]).graph.node[0].input) == 3
    np.testing.assert_array_equal(session.run(None, {"x": np.ones((2, 4), np.float32)})[0], answer(str(file)))


@pytest.mark.skipif(QEMU is None, reason="no qemu-x86_64-static (Debian: qemu-user-static)")
def test_a_bundle_of_before_opens_and_gives_the_same_on_a_processor_without_vnni(tmp_path):
    model = find_sample().bundle / "model.onnx"
    answers = []
    for name, before in (("here", ()), ("haswell", (QEMU, "-cpu", "Haswell"))):
        file = tmp_path / f"{name}.npy"
        command = [*before, sys.executable, "-c", OPEN_SAMPLE, str(model), str(file)]
        done = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        answers.append(np.load(file))
    np.testing.assert_allclose(*answers, atol=1e-4)
