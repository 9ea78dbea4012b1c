import numpy as np
import onnx
import pytest
from quantize_tiny import quantized
from tiny_models import convnet, samples

from edge_export.quant.repair.layerwise import ArrayStore, LayerwiseRun
from edge_export.run import open_session, run
from edge_runtime.errors import ModelError

FEEDS = [{"images": sample[None]} for sample in samples(3)]
NODES = ("conv0", "conv1", "conv2", "gemm")


@pytest.fixture(scope="module")
def model():
    return quantized(convnet(), FEEDS)[0]


@pytest.mark.parametrize("budget", [1 << 20, 0])
def test_a_walk_gives_what_the_whole_graph_gives_in_memory_and_in_files(model, budget, tmp_path):
    layerwise = LayerwiseRun(model, tmp_path, FEEDS, budget, "int8")
    for node in NODES:
        layerwise.advance(node, behind=False)
        assert len(layerwise.every(layerwise.input_of(node))) == 3
        layerwise.advance(node)
    session = open_session(model, optimize=False)
    for feed, found in zip(FEEDS, layerwise.every("logits"), strict=True):
        np.testing.assert_array_equal(found, run(session, feed)["logits"])


def test_values_are_dropped_behind_their_last_reader(model, tmp_path):
    layerwise = LayerwiseRun(model, tmp_path, FEEDS, 0, "int8")
    layerwise.advance("conv0")
    first = layerwise.output_of("conv0")
    layerwise.advance("gemm")
    with pytest.raises(KeyError):
        layerwise.values.get(first, 0)
    assert len(list(tmp_path.glob("*.npy"))) == len(FEEDS)


def test_what_is_written_at_a_stop_is_what_the_next_slice_reads(model, tmp_path):
    layerwise = LayerwiseRun(model, tmp_path, FEEDS, 1 << 20, "int8")
    layerwise.advance("conv2")
    name = layerwise.output_of("conv2")
    for index in range(layerwise.count):
        layerwise.values.put(name, index, np.zeros_like(layerwise.values.get(name, index)))
    layerwise.advance("gemm", behind=False)
    pooled = [np.asarray(values) for values in layerwise.every(layerwise.input_of("gemm"))]
    other = LayerwiseRun(model, tmp_path, FEEDS, 1 << 20, "other")
    other.advance("gemm", behind=False)
    assert any((a != b).any() for a, b in zip(pooled, other.every(other.input_of("gemm")), strict=True))


def test_a_node_that_was_passed_or_is_not_there_is_an_error(model, tmp_path):
    layerwise = LayerwiseRun(model, tmp_path, FEEDS, 1 << 20, "int8")
    layerwise.advance("conv1")
    for name in ("conv0", "nothing"):
        with pytest.raises(ModelError, match="not ahead"):
            layerwise.advance(name)


def test_a_walk_leaves_the_model_as_it_was(model, tmp_path):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    layerwise = LayerwiseRun(copy, tmp_path, FEEDS, 1 << 20, "int8")
    layerwise.advance("gemm")
    assert copy.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_a_store_goes_to_files_beyond_its_budget_and_comes_back_from_there(tmp_path):
    store = ArrayStore(tmp_path, 100, "a")
    arrays = [np.full(20, i, np.float32) for i in range(3)]
    for i, array in enumerate(arrays):
        store.put("x", i, array)
    assert len(list(tmp_path.iterdir())) == 2
    for i, array in enumerate(arrays):
        np.testing.assert_array_equal(store.get("x", i), array)
        store.drop("x", i)
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError):
        store.get("x", 0)
