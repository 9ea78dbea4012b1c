"""Sessions on weights that lie in a buffer of ours."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples, save

from edge_runtime.blocks.arena import Arena
from edge_runtime.bundle.external_data import external_tensors
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.ort.block_session import packed_session, run_bound, streamed_session
from edge_runtime.ort.process import one_line, share_arena
from edge_runtime.prepare.lower import lower

DTYPES = ["float32", "float16", "float64", "bool"]
DTYPES += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


@pytest.fixture(autouse=True)
def small_arena():
    """Sessions take their values from an arena that is registered before them, as in the engine."""
    share_arena(1 << 20, 0)


def lowered(model, folder):
    """Return the lowered graph and the bytes of its weight file."""
    weights = lower(save(model, folder / "source.onnx"), folder / "graph.onnx", 1)
    return folder / "graph.onnx", (folder / weights.file).read_bytes()


def table(dtype, rows=300):
    """A graph that looks rows up: output[i] = table[index[i]], for a table of any type."""
    values = (np.random.default_rng(0).integers(0, 100, (rows, 8)) % (2 if dtype == "bool" else 100)).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["found"])],
        "table",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("found", kind, ["n", 8])],
        [numpy_helper.from_array(values, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), values


def buffer(data, extra=0):
    """An arena's view with the data at its start, or at `extra`."""
    view = Arena(len(data) + extra).view(extra, "uint8", (len(data),)).view(np.uint8)
    view[:] = np.frombuffer(data, np.uint8)
    return view


def external(name="w", data_type=TensorProto.FLOAT, dims=(16,), offset=0, length=64):
    tensor = TensorProto(name=name, data_type=data_type, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def saved(folder, *tensors):
    model = onnx.ModelProto(ir_version=9, graph=onnx.GraphProto(name="g", initializer=tensors))
    (folder / "graph.onnx").write_bytes(model.SerializeToString())
    return folder / "graph.onnx"


def test_a_streamed_convnet_answers_as_an_ordinary_session(tmp_path):
    graph, data = lowered(convnet((3, 16, 32, 32, 48)), tmp_path)
    session, _kept = streamed_session(graph, buffer(data), 1)
    feeds = {"images": samples(3)}
    expected = packed_session(graph, 1).run(None, feeds)[0]
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_streamed_int8_network_answers_exactly_as_an_ordinary_session(tmp_path):
    model, _ = quantized(convnet((3, 16, 32, 32, 48)), [{"images": image[None]} for image in samples()])
    graph, data = lowered(model, tmp_path)
    session, _kept = streamed_session(graph, buffer(data), 1)
    feeds = {"images": samples(3, seed=2)}
    np.testing.assert_array_equal(session.run(None, feeds)[0], packed_session(graph, 1).run(None, feeds)[0])


def test_weights_that_come_after_the_session_and_change_between_runs_are_used(tmp_path):
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((64, 64)).astype(np.float32)}
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    graph, data = lowered(make([node], weights, {"x": ["n", 64]}, {"y": ["n", 64]}), tmp_path)
    into = buffer(bytes(len(data)))
    session, _kept = streamed_session(graph, into, 1)
    feeds = {"x": rng.standard_normal((5, 64)).astype(np.float32)}
    assert not session.run(None, feeds)[0].any()
    for factor in (1, 2, -3):
        into[:] = (np.frombuffer(data, np.float32) * np.float32(factor)).view(np.uint8)
        np.testing.assert_allclose(
            session.run(None, feeds)[0], feeds["x"] @ weights["w"] * factor, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_every_type_that_numpy_has_are_read_from_the_buffer(tmp_path, dtype):
    model, values = table(dtype)
    graph, data = lowered(model, tmp_path)
    into = buffer(data)
    session, _kept = streamed_session(graph, into, 1)
    index = np.array([0, 299, 7], np.int64)
    np.testing.assert_array_equal(session.run(None, {"index": index})[0], values[index])
    into[:] = np.flip(values, 0).copy().view(np.uint8).reshape(-1)
    np.testing.assert_array_equal(session.run(None, {"index": index})[0], values[::-1][index])


@pytest.mark.parametrize("extra", [1, 2, 4, 63])
def test_weights_that_are_not_aligned_are_used_all_the_same(tmp_path, extra):
    model, values = table("float32")
    graph, data = lowered(model, tmp_path)
    session, _kept = streamed_session(graph, buffer(data, extra), 1)
    np.testing.assert_array_equal(session.run(None, {"index": np.arange(300)})[0], values)


def test_a_buffer_that_is_too_small_is_an_engine_error(tmp_path):
    graph = saved(tmp_path, external(offset=4000, length=64))
    with pytest.raises(EngineError, match="'w' end behind their file; prepare the bundle again"):
        streamed_session(graph, buffer(bytes(4063)), 1)


@pytest.mark.parametrize(
    "data_type", [TensorProto.BFLOAT16, TensorProto.STRING, TensorProto.FLOAT8E4M3FN, TensorProto.INT4, 0, 999]
)
def test_weights_of_another_type_are_refused(tmp_path, data_type):
    graph = saved(tmp_path, external(data_type=data_type))
    with pytest.raises(ModelError, match=f"ONNX type {data_type} cannot be streamed \\('w'\\)"):
        streamed_session(graph, buffer(bytes(64)), 1)


@pytest.mark.parametrize("dims", [(15,), (17,), (), (-4, -4), (2**62, 2**62)])
def test_a_shape_that_does_not_fit_the_bytes_is_refused(tmp_path, dims):
    graph = saved(tmp_path, external(dims=dims))
    with pytest.raises(ModelError, match=r"'w' are .* in 64 bytes|a tensor has a negative size"):
        streamed_session(graph, buffer(bytes(64)), 1)


def test_an_onnxruntime_that_copies_weights_is_refused(tmp_path, monkeypatch):
    import onnxruntime

    real = onnxruntime.OrtValue.ortvalue_from_numpy
    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_numpy", lambda array: real(array.copy()))
    with pytest.raises(ModelError, match="copies the weights it is given"):
        streamed_session(saved(tmp_path, external()), buffer(bytes(64)), 1)


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x3a\x05abc", None])
def test_a_graph_that_cannot_be_read_is_a_model_error_of_one_line(tmp_path, data):
    graph = tmp_path / "graph.onnx"
    if data is not None:
        graph.write_bytes(data)
    for opened in (lambda: packed_session(graph, 1), lambda: streamed_session(graph, buffer(bytes(64)), 1)):
        with pytest.raises(ModelError, match=r"graph\.onnx") as raised:
            opened()
        assert "\n" not in str(raised.value)


def test_the_weights_live_as_long_as_what_the_session_comes_with(tmp_path):
    model, values = table("float32")
    graph, data = lowered(model, tmp_path)
    into = buffer(data)
    _session, kept = streamed_session(graph, into, 1)
    assert kept[0] is into
    (value,) = kept[1]
    assert value.data_ptr() == into.ctypes.data
    assert [tensor.name for tensor in external_tensors(graph.read_bytes())] == ["table"]
    np.testing.assert_array_equal(value.numpy(), values)


def test_a_run_that_fails_is_an_engine_error_of_one_line(tmp_path):
    model, _ = table("float32")
    graph, _data = lowered(model, tmp_path)
    session = packed_session(graph, 1)
    index, found = np.array([5000], np.int64), np.zeros((1, 8), np.float32)
    binding = session.io_binding()
    binding.bind_input("index", "cpu", 0, index.dtype.type, index.shape, index.ctypes.data)
    binding.bind_output("found", "cpu", 0, found.dtype.type, found.shape, found.ctypes.data)
    with pytest.raises(EngineError, match=r"onnxruntime failed while running: .*out of") as raised:
        run_bound(session, binding)
    assert "\n" not in str(raised.value)


def test_a_bound_run_writes_where_it_is_told(tmp_path):
    model, values = table("float32")
    graph, _data = lowered(model, tmp_path)
    session = packed_session(graph, 1)
    index, found = np.array([5, 2], np.int64), Arena(64).view(0, "float32", (2, 8))
    binding = session.io_binding()
    binding.bind_input("index", "cpu", 0, index.dtype.type, index.shape, index.ctypes.data)
    binding.bind_output("found", "cpu", 0, found.dtype.type, found.shape, found.ctypes.data)
    run_bound(session, binding)
    np.testing.assert_array_equal(found, values[[5, 2]])


def test_a_message_is_one_short_line():
    assert one_line(ValueError("two\n  lines\tof text")) == "two lines of text"
    assert len(one_line(ValueError("x" * 10_000))) < 1000
