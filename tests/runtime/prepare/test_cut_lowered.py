"""The lowered graph in blocks: what they give is what the whole gives, and their files are laid out to be laid."""

import mmap
import re
import tempfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from cut_cases import convolutions, feeds, perceptron
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from runner_cases import FLOAT, graph_model

from edge_runtime.blocks.laying import mapped_pages
from edge_runtime.blocks.prepared import PreparedBlock, Rest, StoredWeights
from edge_runtime.blocks.sums import SUMS
from edge_runtime.errors import ModelError
from edge_runtime.ort.block_session import packed_session
from edge_runtime.prepare import cut_lowered
from edge_runtime.prepare.cut_lowered import cut_whole, relaid, unlaid
from edge_runtime.prepare.lower import lower

MODELS = {"matrices": perceptron, "convolutions": convolutions}


@pytest.fixture(scope="module", params=MODELS)
def cut(request, tmp_path_factory):
    bundle = MODELS[request.param](tmp_path_factory.mktemp("bundle"))
    folder = tmp_path_factory.mktemp("prepared")
    return bundle, folder, cut_whole(bundle.file("model.onnx"), folder, 1, feeds(bundle), 1)


def test_the_chain_gives_the_whole_lowered_graph_s_answer_to_the_last_bit(cut, tmp_path):
    bundle, folder, blocks = cut
    lower(bundle.file("model.onnx"), tmp_path / "whole.onnx", 1)
    values = feeds(bundle, 3)
    expected = packed_session(tmp_path / "whole.onnx", 1).run(["y"], values)[0]
    for block in blocks:
        session = packed_session(folder / block.graph, 1)
        found = session.run(list(block.outputs), {name: values[name] for name in block.inputs})
        values.update(zip(block.outputs, found, strict=True))
    assert len(blocks) > 1
    np.testing.assert_array_equal(values["y"], expected)


@st.composite
def networks(draw):
    """Layers of 128 x 128 (64 KiB) that read any values of before, elementwise nodes between, one or two outputs."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    nodes, weights, values = [], {}, ["x"]
    for k in range(draw(st.integers(3, 9))):
        source = values[draw(st.integers(max(0, len(values) - 3), len(values) - 1))]
        kind = draw(st.sampled_from(["MatMul", "MatMul", "Gemm", "Add", "Relu"]))
        if kind in ("MatMul", "Gemm"):
            weights[f"w{k}"] = (rng.standard_normal((128, 128)) / 11).astype(np.float32)
            nodes.append(helper.make_node(kind, [source, f"w{k}"], [f"v{k}"]))
        elif kind == "Add":
            other = values[draw(st.integers(0, len(values) - 1))]
            nodes.append(helper.make_node("Add", [source, other], [f"v{k}"]))
        else:
            nodes.append(helper.make_node("Relu", [source], [f"v{k}"]))
        values.append(f"v{k}")
    outputs = {values[-1], draw(st.sampled_from(values[1:]))}
    row = (FLOAT, ["n", 128])
    return graph_model(nodes, weights, {"x": row}, dict.fromkeys(sorted(outputs), row))


@given(model=networks())
@settings(max_examples=25, deadline=None)
def test_any_network_that_is_cut_gives_what_it_gave_whole(model):
    feeds = {"x": np.random.default_rng(5).standard_normal((2, 128)).astype(np.float32)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        try:
            blocks = cut_whole(folder / "model.onnx", folder, 1, feeds, 1)
        except ModelError as error:
            if not re.search("no weights to stream|nothing would be gained|no node makes", str(error)):
                raise
            return
        lower(folder / "model.onnx", folder / "whole.onnx", 1)
        names = [value.name for value in model.graph.output]
        expected = packed_session(folder / "whole.onnx", 1).run(names, feeds)
        values = dict(feeds)
        for block in blocks:
            session = packed_session(folder / block.graph, 1)
            found = session.run(list(block.outputs), {one: values[one] for one in block.inputs})
            values.update(zip(block.outputs, found, strict=True))
        for one, array in zip(names, expected, strict=True):
            np.testing.assert_array_equal(values[one], array)


def test_what_is_streamed_begins_at_pages_and_nothing_but_it_lies_there(cut):
    _, folder, blocks = cut
    for block in blocks:
        data = (folder / block.weights.file).read_bytes()
        assert sum(length for _, length in block.pages) == block.weights.size
        assert all(offset % mmap.PAGESIZE == length % mmap.PAGESIZE == 0 for offset, length in block.pages)
        assert zlib.crc32(data[: block.weights.size]) == block.weights.crc32
        if block.rest is not None:
            assert (block.rest.offset, block.rest.size) == (block.weights.size, len(data) - block.weights.size)
            assert zlib.crc32(data[block.weights.size :]) == block.rest.crc32
        else:
            assert len(data) == block.weights.size


def test_nothing_but_blocks_is_left_in_the_folder(cut):
    _, folder, blocks = cut
    kept = {block.graph for block in blocks} | {block.weights.file for block in blocks} | {SUMS}
    assert {path.name for path in folder.iterdir()} == kept


def test_blocks_are_standard_graphs_that_name_what_they_take_and_give(cut):
    _, folder, blocks = cut
    for block in blocks:
        graph = onnx.load(folder / block.graph, load_external_data=False).graph
        assert tuple(value.name for value in graph.input) == block.inputs
        assert tuple(value.name for value in graph.output) == block.outputs


def test_a_graph_without_weights_to_stream_is_refused_and_leaves_nothing(tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    node = helper.make_node("Relu", ["x"], ["y"])
    row = {"x": (FLOAT, ["n", 4])}, {"y": (FLOAT, ["n", 4])}
    (tmp_path / "model.onnx").write_bytes(graph_model([node], {}, *row).SerializeToString())
    with pytest.raises(ModelError, match="no weights to stream"):
        cut_whole(tmp_path / "model.onnx", folder, 1, {"x": np.zeros((1, 4), np.float32)}, 1)
    assert not list(folder.iterdir())


def test_a_small_graph_is_refused_as_nothing_would_be_gained(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    row = {"x": (FLOAT, ["n", 32])}, {"y": (FLOAT, ["n", 32])}
    model = graph_model([node], {"w": np.ones((32, 32), np.float32)}, *row)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="nothing would be gained"):
        cut_whole(tmp_path / "model.onnx", tmp_path, 1, {"x": np.zeros((1, 32), np.float32)}, 1)


def test_a_block_that_cannot_be_laid_has_all_of_its_file_as_weights(tmp_path):
    (tmp_path / "cut-00.bin").write_bytes(b"a" * 4096 + b"rest")
    laid = PreparedBlock(
        "cut-00.onnx",
        "cut-00.onnx",
        StoredWeights("cut-00.bin", 4096, 1),
        ("x",),
        ("y",),
        ((0, 4096),),
        Rest("cut-00.bin", 4096, 4, 2),
    )
    found = unlaid(laid, tmp_path)
    assert found.weights == StoredWeights("cut-00.bin", 4100, zlib.crc32(b"a" * 4096 + b"rest"))
    assert (found.pages, found.rest) == ((), None)
    assert unlaid(found, tmp_path) is found


def test_a_block_with_weights_that_are_not_mapped_streams_the_others_and_answers_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr(cut_lowered, "choose_cuts", lambda places, *_: places[len(places) // 2 :][:1])
    bundle, folder = perceptron(tmp_path), tmp_path / "prepared"
    folder.mkdir()
    block = cut_whole(bundle.file("model.onnx"), folder, 1, feeds(bundle), 1)[0]
    assert len(block.pages) > 1
    expected = packed_session(folder / block.graph, 1).run(None, feeds(bundle))
    found = relaid(block, folder, block.pages[1:])
    assert len(found.pages) == len(block.pages) - 1
    data = (folder / found.weights.file).read_bytes()
    assert zlib.crc32(data[: found.weights.size]) == found.weights.crc32
    assert zlib.crc32(data[found.weights.size :]) == found.rest.crc32
    assert mapped_pages(folder / found.graph, folder / found.weights.file, found.pages, 1) == list(found.pages)
    again = packed_session(folder / found.graph, 1).run(None, feeds(bundle))
    for one, other in zip(again, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(folder.glob("*.old"))
