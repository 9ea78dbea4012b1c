import numpy as np
import pytest
from onnx import helper
from tiny_models import convnet, make

from edge_export.graph import Graph
from edge_export.quant.params import channel_axis, reading_function, search_params
from edge_export.quant.ranges import ChannelRanges, Histogram, silu

X = np.linspace(-8, 8, 33)


def graph_of(nodes, weights=(), outputs=("y",), inputs=("x",)):
    nodes = [helper.make_node(*node, name=f"n{index}") for index, node in enumerate(nodes)]
    return Graph(make(nodes, dict(weights), {name: [4] for name in inputs}, {name: [4] for name in outputs}))


def test_a_silu_is_found_whatever_the_order_of_its_factors():
    for factors in (["a", "s"], ["s", "a"]):
        graph = graph_of(
            [("Neg", ["x"], ["a"]), ("Sigmoid", ["a"], ["s"]), ("Mul", factors, ["p"]), ("Softmax", ["p"], ["y"])]
        )
        read = reading_function(graph, "a")
        assert read is not None
        np.testing.assert_allclose(read(X), silu(X), atol=1e-5)


def test_a_hard_swish_made_of_scalars_is_found():
    weights = {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)}
    graph = graph_of(
        [
            ("Add", ["x", "three"], ["a"]),
            ("Clip", ["a", "zero", "six"], ["b"]),
            ("Div", ["b", "six"], ["c"]),
            ("Mul", ["x", "c"], ["d"]),
            ("Softmax", ["d"], ["y"]),
        ],
        {name: np.asarray(value) for name, value in weights.items()},
    )
    read = reading_function(graph, "x")
    assert read is not None
    np.testing.assert_allclose(read(X), X * np.clip(X + 3, 0, 6) / 6, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([("Softmax", ["x"], ["y"])], ("y",)),  # nothing elementwise
        ([("Sigmoid", ["x"], ["s"]), ("Softmax", ["x"], ["y"]), ("Softmax", ["s"], ["z"])], ("y", "z")),  # two ways on
        ([("Sigmoid", ["x"], ["s"]), ("Neg", ["x"], ["y"]), ("Softmax", ["s"], ["z"])], ("y", "z")),
        ([("Add", ["x", "other"], ["s"]), ("Softmax", ["s"], ["y"])], ("y",)),  # depends on something else
        ([("Sigmoid", ["x"], ["s"]), ("Add", ["x", "other"], ["t"]), ("Mul", ["s", "t"], ["y"])], ("y",)),
    ],
)
def test_a_tensor_that_goes_on_in_other_ways_is_seen_as_it_is(nodes, outputs):
    assert reading_function(graph_of(nodes, outputs=outputs, inputs=("x", "other")), "x") is None


def test_a_graph_output_is_seen_as_it_is():
    graph = graph_of([("Neg", ["x"], ["y"]), ("Sigmoid", ["y"], ["z"])], outputs=("y", "z"))
    assert reading_function(graph, "y") is None


def test_parameters_say_what_gave_them_and_which_channels_reach_far():
    graph = Graph(convnet())
    values = np.random.default_rng(0).standard_normal((1, 8, 64, 64)).astype(np.float32)
    values[:, 2] *= 30
    histogram, channels = Histogram(), ChannelRanges(channel_axis(graph, "r0") or 0)
    histogram.see(values)
    channels.see(values)
    found = search_params(graph, {"r0": histogram, "logits": Histogram()}, {"r0": channels})
    assert found["r0"].outliers == (2,)
    assert found["r0"].method
    assert found["logits"].method == "min-max"
    assert channel_axis(graph, "flat") == -1
    assert channel_axis(graph, "logits") is None
