import dataclasses

import numpy as np
from onnx import helper
from repair_cases import calibrated, noise, uneven_convnet
from tiny_models import make

from edge_export.graph import Graph
from edge_export.quant.repair.sqnr import Sqnr, sqnr_of, telling_outputs


def test_outputs_are_looked_at_before_their_final_softmax():
    nodes = [
        helper.make_node("Relu", ["x"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"]),
        helper.make_node("Reshape", ["p", "shape"], ["probabilities"]),
        helper.make_node("Neg", ["x"], ["other"]),
    ]
    shape = {"shape": np.array([1, 4, 1], np.int64)}
    model = make(nodes, shape, {"x": [1, 4]}, {"probabilities": [1, 4, 1], "other": [1, 4]})
    assert telling_outputs(Graph(model)) == ["logits", "other"]


def test_a_gain_counts_when_it_is_more_than_nothing_on_most_samples():
    before = Sqnr((20.0, 30.0, 25.0), 20.0)
    assert Sqnr((21.0, 31.0, 24.5), 20.0).gained(before)
    assert not Sqnr((20.05, 30.05, 25.05), 20.0).gained(before)
    assert not Sqnr((19.9, 29.9, 29.0), 20.0).gained(before), "one sample alone gained"
    assert not Sqnr((), 0.0).gained(Sqnr((), 0.0))


def test_coarser_ranges_measure_worse():
    draft = calibrated(uneven_convnet(spread=1.0), noise(4), noise(3, seed=2))
    params = {name: dataclasses.replace(one, scale=4 * one.scale) for name, one in (draft.params or {}).items()}
    fine, coarse = sqnr_of(draft), sqnr_of(dataclasses.replace(draft, params=params))
    assert len(fine.levels) == 3
    assert fine.gained(coarse)
    assert fine.gain(coarse) > 6
    assert fine.worst_db > coarse.worst_db + 6
    assert sqnr_of(draft) == fine
