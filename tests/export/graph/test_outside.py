"""Weights outside their graphs: the same values and answers, equal weights once, and no folder left behind."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_export.graph import Arrays, Graph, copy_without_weights
from edge_export.graph.outside import WeightFolder, inside, is_heavy, outside_spot, tensor_array
from edge_export.passes.clean import clean_graph
from edge_export.run import open_session, run, run_both
from edge_export.state import Feeds


def two_layers() -> onnx.ModelProto:
    """x [N, 32] through two MatMuls with equal weights, and a small bias."""
    weight = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    bias = np.ones(32, np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["m"]),
        helper.make_node("MatMul", ["m", "b"], ["n"]),
        helper.make_node("Add", ["n", "c"], ["y"]),
    ]
    weights = [numpy_helper.from_array(array, name) for array, name in ((weight, "a"), (weight, "b"), (bias, "c"))]
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 32]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


SAMPLE: Feeds = {"x": np.linspace(0, 1, 32, dtype=np.float32)[None]}


def test_big_weights_move_out_and_equal_ones_lie_there_once() -> None:
    model = two_layers()
    weights = WeightFolder()
    slim = weights.move_out(model)
    spots = {weight.name: outside_spot(weight) for weight in slim.graph.initializer}
    assert spots["a"] == spots["b"]
    assert spots["a"] is not None
    assert spots["a"].length == 32 * 32 * 4
    assert spots["c"] is None
    for before, after in zip(model.graph.initializer, slim.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(before), tensor_array(after))
        assert np.array_equal(numpy_helper.to_array(before), numpy_helper.to_array(inside(after)))
    assert weights.move_out(slim) is slim


def test_a_graph_with_weights_outside_answers_the_same_and_leaves_no_file() -> None:
    model = two_layers()
    weights = WeightFolder()
    slim = weights.move_out(model)
    files = sorted(weights.path.iterdir())
    for lean in (False, True):
        found = run(open_session(slim, lean=lean), SAMPLE)["y"]
        assert np.allclose(found, run(open_session(model), SAMPLE)["y"], rtol=1e-3)
    assert sorted(weights.path.iterdir()) == files


def test_the_folder_goes_with_its_last_reference() -> None:
    weights = WeightFolder()
    path = weights.path
    weights.move_out(two_layers())
    assert path.is_dir()
    del weights
    gc.collect()
    assert not path.exists()


def test_a_copy_for_another_folder_needs_nothing_of_the_first(tmp_path: Path) -> None:
    weights = WeightFolder()
    slim = weights.move_out(two_layers())
    expected = run(open_session(slim), SAMPLE)["y"]
    copy = copy_without_weights(slim, tmp_path, "weights.bin")
    weights.close()
    (tmp_path / "copy.onnx").write_bytes(copy.SerializeToString())
    assert np.array_equal(run(open_session(tmp_path / "copy.onnx"), SAMPLE)["y"], expected)


def test_cleaning_reads_weights_where_they_are() -> None:
    weights = WeightFolder()
    inner, outer = clean_graph(two_layers(), {}), clean_graph(weights.move_out(two_layers()), {}, weights=weights)
    assert inner.notes == outer.notes
    assert [node.op_type for node in inner.model.graph.node] == [node.op_type for node in outer.model.graph.node]
    graphs = Graph(inner.model), Graph(outer.model)
    assert set(graphs[0].weights) == set(graphs[1].weights)
    assert all(np.array_equal(graphs[0].array(name), graphs[1].array(name)) for name in graphs[0].weights)


def test_heavy_models_are_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = WeightFolder()
    slim = weights.move_out(two_layers())
    assert not is_heavy(slim)
    light = list(run_both(slim, slim, [SAMPLE, SAMPLE]))
    monkeypatch.setattr("edge_export.graph.outside._HEAVY", 1000)
    assert is_heavy(slim)
    heavy = list(run_both(slim, slim, iter([SAMPLE, SAMPLE])))
    assert len(light) == len(heavy) == 2
    assert all(np.allclose(a["y"], b["y"]) for a, b in (*light, *heavy))


def test_arrays_are_read_by_name_and_only_those_named() -> None:
    arrays = Arrays(Graph(two_layers()), ["a", "c"])
    assert list(arrays) == ["a", "c"]
    assert arrays["c"].shape == (32,)
    with pytest.raises(KeyError):
        arrays["b"]
