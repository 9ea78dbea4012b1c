"""Which channels share a factor, and which must keep theirs."""

import numpy as np
import onnx
import pytest
from onnx import helper
from tiny_models import make

from edge_export.graph import Graph
from edge_export.quant.repair.channels import channel_classes, clip_bounds
from edge_export.quant.select import compute_nodes


def classes(nodes, outputs=("out",), extra=None, shape=(1, 4, 8, 8)):
    rng = np.random.default_rng(0)
    weights = {f"w{i}": rng.standard_normal((4, 4, 1, 1)).astype(np.float32) for i in range(4)} | (extra or {})
    used = {name for node in nodes for name in node.input}
    weights = {name: array for name, array in weights.items() if name in used}
    model = make(nodes, weights, {"x": list(shape)}, {name: [1, 4, 8, 8] for name in outputs})
    graph = Graph(onnx.shape_inference.infer_shapes(model))
    return channel_classes(graph, compute_nodes(graph))


def conv(source, weight, target):
    return helper.make_node("Conv", [source, weight], [target], name=f"conv_{target}", kernel_shape=[1, 1])


def free(channels, held, tensor):
    return [int(one) not in held for one in channels.ids[tensor]]


def test_a_relu_between_two_convolutions_leaves_every_channel_free():
    channels, held = classes([conv("x", "w0", "a"), helper.make_node("Relu", ["a"], ["b"]), conv("b", "w1", "out")])
    assert list(channels.ids["a"]) == list(channels.ids["b"])
    assert all(free(channels, held, "a"))
    assert len(set(channels.ids["a"])) == 4


def test_what_leaves_the_graph_or_passes_a_sigmoid_keeps_its_scale():
    nodes = [conv("x", "w0", "a"), helper.make_node("Sigmoid", ["a"], ["s"]), conv("s", "w1", "out")]
    channels, held = classes(nodes)
    assert not any(free(channels, held, "a"))
    assert not any(free(channels, held, "out"))


def test_channels_that_meet_in_an_addition_share_their_factors():
    nodes = [
        conv("x", "w0", "a"),
        conv("x", "w1", "b"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        conv("c", "w2", "out"),
    ]
    channels, held = classes(nodes)
    assert list(channels.ids["a"]) == list(channels.ids["b"]) == list(channels.ids["c"])
    assert all(free(channels, held, "c"))


def test_an_addition_to_the_graphs_input_holds_the_channels():
    nodes = [conv("x", "w0", "a"), helper.make_node("Add", ["a", "x"], ["c"]), conv("c", "w2", "out")]
    channels, held = classes(nodes)
    assert not any(free(channels, held, "a"))


def test_a_concatenation_lays_channels_side_by_side():
    nodes = [conv("x", "w0", "a"), conv("x", "w1", "b"), helper.make_node("Concat", ["a", "b"], ["c"], axis=1)]
    wide = {"wide": np.ones((4, 8, 1, 1), np.float32)}
    channels, held = classes([*nodes, conv("c", "wide", "out")], extra=wide)
    assert list(channels.ids["c"]) == [*channels.ids["a"], *channels.ids["b"]]
    assert all(free(channels, held, "c"))


def test_weights_that_two_nodes_share_hold_both_sides():
    nodes = [conv("x", "w0", "a"), conv("a", "w0", "b"), conv("b", "w1", "out")]
    channels, held = classes(nodes)
    assert "a" not in channels.ids or not any(free(channels, held, "a"))


@pytest.mark.parametrize(("bounds", "is_free"), [([0.0], True), ([0.0, 6.0], False), ([-1.0], False)])
def test_a_clip_is_homogeneous_only_without_a_ceiling(bounds, is_free):
    constants = {f"bound{i}": np.array(value, np.float32) for i, value in enumerate(bounds)}
    nodes = [conv("x", "w0", "a"), helper.make_node("Clip", ["a", *constants], ["b"]), conv("b", "w1", "out")]
    channels, held = classes(nodes, extra=constants)
    assert any(free(channels, held, "a")) is is_free


def test_bounds_of_a_clip_are_read_from_inputs_and_attributes():
    constants = {"low": np.array(-2.0, np.float32)}
    model = make([helper.make_node("Clip", ["x", "low"], ["out"])], constants, {"x": [1]}, {"out": [1]})
    assert clip_bounds(Graph(model), model.graph.node[0]) == (-2.0, None)
    old = helper.make_node("Clip", ["x"], ["out"], min=0.0, max=6.0)
    assert clip_bounds(Graph(model), old) == (0.0, 6.0)
    low, high = clip_bounds(Graph(model), helper.make_node("Clip", ["x", "computed"], ["out"]))
    assert np.isnan(low)
    assert high is None
