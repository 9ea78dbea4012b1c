"""Measuring: every form that answers right is found, one that answers wrong is not, and the machine has a speed."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples, save

from edge_devices import bandwidth
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.prepare import measure_forms as measure
from edge_runtime.prepare.lower import lower
from edge_runtime.prepare.measure_forms import Subject, alike, measure_forms, measure_packed, tiled
from edge_runtime.prepare.speed import measure_speeds

CHANNELS = (3, 16, 32, 32, 48)


@pytest.fixture(autouse=True)
def few_runs(monkeypatch):
    """How long something takes is nothing that these tests look at."""
    monkeypatch.setattr(measure, "_MOST_RUNS", 1)
    monkeypatch.setattr(measure, "_ROOMY", 1 << 20)


def subject(model, folder, feeds, axes, batches=(1,)):
    import onnxruntime

    source = save(model, folder / "source.onnx")
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    outputs = tuple(value.name for value in session.get_outputs())
    expected = dict(zip(outputs, (np.asarray(value) for value in session.run(None, feeds)), strict=True))
    weights = lower(source, folder / "graph.onnx", 1)
    return Subject(folder, "graph.onnx", weights, feeds, expected, outputs, axes, batches, 1)


def float_network(folder, batches=(1,)):
    return subject(convnet(CHANNELS), folder, {"images": samples(1)}, {"images": 0, "logits": 0}, batches)


def int8_network(folder):
    model, _ = quantized(convnet(CHANNELS), [{"images": image[None]} for image in samples()])
    return subject(model, folder, {"images": samples(1)}, {"images": 0, "logits": 0}, (1, 3))


def forms(found):
    return [one.form.form for one in found]


@pytest.mark.parametrize("network", [float_network, int8_network])
def test_a_network_with_weights_can_be_held_in_three_forms(tmp_path, network):
    found = measure_forms(network(tmp_path))
    assert forms(found) == ["streamed", "resident", "reloaded"]
    streamed, resident, reloaded = (one.form for one in found)
    assert resident.load_ms == 0
    assert min(streamed.load_ms, reloaded.load_ms) > 0
    assert (reloaded.held_bytes, reloaded.timings) == (resident.held_bytes, resident.timings)
    for one in found:
        assert min(one.form.held_bytes, one.form.making_bytes) >= 0
        assert min(timing.ms for timing in one.form.timings) > 0


def test_every_batch_is_measured_and_needs_no_less_memory_than_the_one_before(tmp_path):
    for one in measure_forms(float_network(tmp_path, (1, 2, 4))):
        assert [timing.batch for timing in one.form.timings] == [1, 2, 4]
        assert [work.batch for work in one.work] == [1, 2, 4]
        needs = [work.bytes for work in one.work]
        assert needs == sorted(needs)


def test_a_graph_whose_weights_lie_in_it_has_one_form(tmp_path):
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    model = make([node], {"w": np.arange(4, dtype=np.float32)}, {"x": ["n", 4]}, {"y": ["n", 4]})
    small = subject(model, tmp_path, {"x": np.ones((1, 4), np.float32)}, {"x": 0, "y": 0}, (1, 2))
    assert small.weights is None
    assert forms(measure_forms(small)) == ["resident"]


def test_a_wrong_answer_is_refused_in_every_form(tmp_path):
    network = float_network(tmp_path)
    wrong = replace(network, expected={"logits": network.expected["logits"] * np.float32(1.05)})
    for measured in (measure_forms, measure_packed):
        with pytest.raises(ModelError, match=r"graph\.onnx held resident does not give the block's answer"):
            measured(wrong)


def test_a_kernel_that_keeps_the_weights_it_saw_first_is_not_streamed(tmp_path, monkeypatch):
    real = measure.streamed_session
    monkeypatch.setattr(measure, "streamed_session", lambda graph, into, threads: real(graph, into.copy(), threads))
    assert forms(measure_forms(float_network(tmp_path))) == ["resident", "reloaded"]


def test_a_graph_that_cannot_be_streamed_has_the_other_forms(tmp_path, monkeypatch):
    def refused(*_):
        raise ModelError("weights of this type cannot be streamed")

    monkeypatch.setattr(measure, "streamed_session", refused)
    assert forms(measure_forms(float_network(tmp_path))) == ["resident", "reloaded"]


def test_damaged_weights_have_no_form_at_all(tmp_path):
    network = float_network(tmp_path)
    data = bytearray((tmp_path / "graph.bin").read_bytes())
    data[3::4] = bytes(len(data[3::4]))  # sign and exponent of every number
    (tmp_path / "graph.bin").write_bytes(data)
    with pytest.raises(ModelError, match="does not give the block's answer"):
        measure_forms(network)


def test_missing_weights_are_a_model_error(tmp_path):
    network = float_network(tmp_path)
    (tmp_path / "graph.bin").unlink()
    with pytest.raises(ModelError, match="cannot load"):
        measure_forms(network)


def scalars():
    """Scalars in and out beside an image: y = x @ w * scale, top = max(y)."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Mul", ["product", "scale"], ["y"]),
        helper.make_node("ReduceMax", ["y"], ["top"], keepdims=0),
        helper.make_node("Greater", ["y", "scale"], ["above"]),
    ]
    values = np.random.default_rng(0).standard_normal((32, 16)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "scalars",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 32]),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16]),
            helper.make_tensor_value_info("top", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("above", TensorProto.BOOL, ["n", 16]),
        ],
        [numpy_helper.from_array(values, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_scalars_and_truth_values_are_bound_as_they_are(tmp_path):
    feeds = {"x": np.ones((1, 32), np.float32), "scale": np.array(0.5, np.float32)}
    axes = {"x": 0, "scale": -1, "y": 0, "top": -1, "above": 0}
    assert forms(measure_forms(subject(scalars(), tmp_path, feeds, axes, (1, 2)))) == [
        "streamed",
        "resident",
        "reloaded",
    ]


def test_an_output_whose_shape_depends_on_the_data_is_left_to_onnxruntime(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Compress", ["y", "keep"], ["some"])]
    values = np.random.default_rng(0).standard_normal((32, 16)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "compress",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32]),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, ["n"]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16]),
            helper.make_tensor_value_info("some", TensorProto.FLOAT, ["m"]),
        ],
        [numpy_helper.from_array(values, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feeds = {"x": np.ones((1, 32), np.float32), "keep": np.array([True, False, True])}
    free = subject(model, tmp_path, feeds, dict.fromkeys(("x", "keep", "y", "some"), -1))
    found = measure_forms(replace(free, expected={"y": free.expected["y"]}))
    assert forms(found) == ["streamed", "resident", "reloaded"]


def test_a_value_is_tiled_along_its_axis_and_stays_as_it_is_without_one():
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert tiled(image, 0, 3).shape == (3, 2, 3)
    assert tiled(image, 2, 2).tolist() == [[[0, 1, 2, 0, 1, 2], [3, 4, 5, 3, 4, 5]]]
    assert tiled(image, -1, 3).shape == (1, 2, 3)
    assert tiled(np.array(5.0), -1, 3).shape == ()
    turned = tiled(np.asfortranarray(np.ones((3, 4))), 0, 1)
    assert turned.flags.c_contiguous
    assert tiled(image.transpose(0, 2, 1), 0, 2).flags.c_contiguous


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_every_answer_is_like_itself(values):
    array = np.array(values, np.float32)
    other = array.copy()
    assert alike({"y": array}, {"y": other})
    other[np.isnan(other)] = -np.float32("nan")  # not the same bytes, the same value
    assert alike({"y": array}, {"y": other})


@given(st.integers(0, 2**32 - 1), st.floats(1e-7, 1.0))
def test_noise_is_told_from_rounding_at_40_decibels(seed, level):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(2000)
    noise = rng.standard_normal(2000)
    ratio = level * np.sqrt(np.square(signal).sum() / np.square(noise).sum())
    if 0.0099 < level < 0.0101:
        return
    assert alike({"y": signal}, {"y": signal + ratio * noise}) == (level < 0.01)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (np.zeros(3, np.float32), np.full(3, 1e-3, np.float32)),
        (np.ones(3, np.float32), np.ones((3, 1), np.float32)),
        (np.ones(3, np.float32), np.ones(3, np.float64)),
        (np.ones(3, np.float32), np.array([1, 1, np.nan], np.float32)),
        (np.array([1, np.nan], np.float32), np.array([1, 5], np.float32)),
        (np.array([1, np.inf], np.float32), np.array([1, -np.inf], np.float32)),
        (np.array([1, np.inf], np.float32), np.array([1, 3e38], np.float32)),
        (np.array([True, False]), np.array([True, True])),
        (np.array([1, 2, 3], np.int64), np.array([3, 2, 1], np.int64)),
    ],
)
def test_another_answer_is_not_alike(expected, found):
    assert not alike({"a": np.ones(1), "y": expected}, {"a": np.ones(1), "y": found})


def test_one_step_of_an_int8_value_in_many_is_rounding():
    expected = np.random.default_rng(0).integers(0, 255, 1000).astype(np.uint8)
    found = expected.copy()
    found[::100] += 1
    assert alike({"y": expected}, {"y": found})


def test_the_speed_of_storage_is_measured_on_the_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(5 << 20))
    speeds = measure_speeds([tmp_path / "a", tmp_path / "b"])
    assert speeds.read_bytes_per_s > 0
    assert speeds.cached_bytes_per_s > 0
    assert speeds.cores >= 1


def test_files_too_small_to_measure_give_the_speeds_of_a_memory_card(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10_000))
    for files in ([], [tmp_path / "a"]):
        speeds = measure_speeds(files)
        assert (speeds.read_bytes_per_s, speeds.cached_bytes_per_s) == (40e6, 2e9)


def test_storage_without_direct_reads_is_measured_all_the_same(tmp_path, monkeypatch):
    real = os.open

    def refusing(path, flags, *more):
        if flags & getattr(os, "O_DIRECT", 0):
            raise OSError(22, "Invalid argument")
        return real(path, flags, *more)

    (tmp_path / "a").write_bytes(bytes(bandwidth.CHUNK))
    monkeypatch.setattr(os, "open", refusing)
    assert measure_speeds([tmp_path / "a"]).read_bytes_per_s > 0


def test_a_file_that_cannot_be_read_is_an_engine_error(tmp_path):
    with pytest.raises(EngineError, match=r"cannot read .*none: No such file"):
        measure_speeds([tmp_path / "none"])
