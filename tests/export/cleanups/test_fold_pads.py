"""A Pad becomes a MaxPool's own padding only where the answer is the same."""

import numpy as np
import pytest
from onnx import helper
from tiny_models import make

from edge_export.cleanups.fold_pads import fold_pads
from edge_export.cleanups.proof import Proof
from edge_export.probe import Probe

PADS = np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64)
LOWEST = np.array(-3.4028235e38, np.float32)


def padded(value, pads=PADS, relu=False, mode="constant", kernel=(3, 3)):
    source = "r" if relu else "x"
    nodes = [helper.make_node("Relu", ["x"], ["r"], name="relu")] if relu else []
    nodes += [
        helper.make_node("Pad", [source, "pads", "value"], ["p"], name="pad", mode=mode),
        helper.make_node("MaxPool", ["p"], ["y"], name="pool", kernel_shape=list(kernel), strides=[2, 2]),
    ]
    model = make(nodes, {"pads": pads, "value": value}, {"x": [1, 2, 8, 8]}, {"y": [1, 2, "h", "w"]})
    feeds = [{"x": np.random.default_rng(seed).standard_normal((1, 2, 8, 8), np.float32)} for seed in (0, 1)]
    return model, Probe.record(model, feeds)


def kinds(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(("value", "relu"), [(LOWEST, False), (np.array(0, np.float32), True)])
def test_a_pad_that_the_pool_can_do_itself_is_folded(value, relu):
    model, probe = padded(value, relu=relu)
    model, notes = fold_pads(model, Proof(probe))
    assert "Pad" not in kinds(model)
    assert notes == ["1 Pads in front of MaxPool became the pools' own padding"]


@pytest.mark.parametrize(
    "case",
    [
        {"value": np.array(0, np.float32)},  # zeros beside values that may be negative
        {"value": np.array(1, np.float32), "relu": True},
        {"value": LOWEST, "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0], np.int64)},  # channels
        {"value": LOWEST, "pads": np.array([0, 0, 3, 3, 0, 0, 0, 0], np.int64)},  # a window of padding alone
        {"value": LOWEST, "pads": np.array([0, 0, -1, 0, 0, 0, 0, 0], np.int64)},
        {"value": np.array(0, np.float32), "relu": True, "mode": "reflect"},
    ],
)
def test_any_other_pad_stays(case):
    model, probe = padded(**case)
    folded, notes = fold_pads(model, Proof(probe))
    assert "Pad" in kinds(folded)
    assert not notes
