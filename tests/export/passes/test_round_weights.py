import numpy as np
import pytest
from onnx import helper
from repair_cases import calibrated, noise
from tiny_models import convnet, make, samples

from edge_export.passes import round_weights as module
from edge_export.passes.round_weights import adaptive_weights, round_weights
from edge_export.pipeline import QuietProgress
from edge_export.quant.workbench import Workbench

SMALL = (3, 4, 6, 6)


def test_every_layer_is_rounded_on_the_scales_that_nearest_rounding_has():
    draft = calibrated(convnet(SMALL), samples(4), samples(2, seed=5))
    found = adaptive_weights(draft, QuietProgress())
    assert set(found) == {"conv0", "conv1", "conv2", "gemm"}
    with Workbench(draft) as bench:
        plan = bench.plan()
        for item in bench.able:
            nearest = bench.cache.quantized(item, draft.params[plan.scale_of[item.node.input[0]]].scale)
            assert (found[item.name].scale == nearest.scale).all()
            assert found[item.name].values.shape == nearest.values.shape
            assert found[item.name].axis == nearest.axis


def test_two_runs_round_alike():
    draft = calibrated(convnet(SMALL), samples(3), samples(2, seed=5))
    first, second = adaptive_weights(draft, QuietProgress()), adaptive_weights(draft, QuietProgress())
    assert all((first[name].values == second[name].values).all() for name in first)


def mixed_network():
    """A grouped, a depthwise and a plain Conv, then a MatMul over the flattened rest; images [1, 4, 8, 8] in."""
    rng = np.random.default_rng(0)
    weights = {
        "w0": rng.standard_normal((8, 2, 3, 3)),
        "w1": rng.standard_normal((8, 1, 3, 3)),
        "w2": rng.standard_normal((8, 8, 1, 1)),
        "w3": rng.standard_normal((8, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w0"], ["a"], name="grouped", group=2, pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["ra"], name="r0"),
        helper.make_node("Conv", ["ra", "w1"], ["b"], name="depthwise", group=8, strides=[2, 2]),
        helper.make_node("Relu", ["b"], ["rb"], name="r1"),
        helper.make_node("Conv", ["rb", "w2"], ["c"], name="plain"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "w3"], ["out"], name="matmul"),
    ]
    arrays = {name: (values * 0.4).astype(np.float32) for name, values in weights.items()}
    return make(nodes, arrays, {"images": [1, 4, 8, 8]}, {"out": [1, 5]})


@pytest.mark.parametrize("most", [1152, 5])
def test_groups_matmuls_and_layers_beyond_the_largest_matrix_are_rounded(most, monkeypatch):
    monkeypatch.setattr(module, "MOST_INPUTS", most)
    draft = calibrated(mixed_network(), noise(8), noise(4, seed=2))
    assert set(adaptive_weights(draft, QuietProgress())) == {"grouped", "depthwise", "plain", "matmul"}


def test_the_stage_says_what_was_done_and_large_models_are_for_the_best_effort(monkeypatch):
    draft = calibrated(mixed_network(), noise(8), noise(4, seed=2))
    found = round_weights(draft, QuietProgress())
    assert found.stages[-1].note.startswith("weights of 4 layers rounded")
    assert bool(found.rounded) is found.stages[-1].kept
    draft = calibrated(mixed_network(), noise(2), noise(2, seed=2), effort="good")
    assert len(round_weights(draft, QuietProgress()).stages) == 2
    monkeypatch.setattr("edge_export.passes.round_weights.QUICK_WEIGHTS", 10)
    assert round_weights(draft, QuietProgress()) is draft
