"""Whole graphs are timed in pairs, and a pair that was timed stays known."""

import numpy as np
from tiny_models import convnet, save

from edge_export.search.latency import whole
from edge_export.search.latency.table import LatencyTable


def test_the_same_pair_is_timed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "ROUNDS", 3)
    model = convnet((3, 16, 32, 32))
    paths = [save(model, tmp_path / "a.onnx"), save(model, tmp_path / "b.onnx")]
    (value,) = model.graph.input
    feeds = {value.name: np.zeros([dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim], np.float32)}
    table = LatencyTable("m", 1, tmp_path / "t.json")
    first = whole.measure_pair(table, *paths, feeds)
    assert all(value > 0 for value in first)
    assert (tmp_path / "t.json").exists()
    monkeypatch.setattr(whole, "open_session", None)  # a second measurement would fail
    assert whole.measure_pair(table, *paths, feeds) == first
