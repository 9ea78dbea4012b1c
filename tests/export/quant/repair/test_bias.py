import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tiny_models import make

from edge_export.graph import Graph
from edge_export.quant.repair.bias import Activation, activation_behind, matching_shift
from edge_export.quant.select import compute_nodes

RELU = Activation(0.0)


@settings(max_examples=30)
@given(
    st.integers(0, 10_000),
    st.sampled_from([Activation(), RELU, Activation(0.0, 2.0), Activation(silu=True)]),
    st.floats(-0.5, 0.5),
)
def test_a_shift_makes_the_channel_means_behind_the_activation_agree(seed, behind, moved):
    rng = np.random.default_rng(seed)
    exact = [rng.standard_normal((1, 3, 20, 20)).astype(np.float32) for _ in range(4)]
    found = [
        values - np.float32(moved) + 0.05 * rng.standard_normal(values.shape).astype(np.float32) for values in exact
    ]
    expected = np.mean([behind(values).mean(axis=(0, 2, 3)) for values in exact], axis=0)
    shift = matching_shift(found, 1, behind, expected)
    after = np.mean([behind(values + shift[:, None, None]).mean(axis=(0, 2, 3)) for values in found], axis=0)
    np.testing.assert_allclose(after, expected, atol=2e-3)
    np.testing.assert_allclose(shift, moved, atol=0.05)


def test_a_channel_that_its_relu_silences_stays_as_it_is():
    silent = [np.full((1, 2, 4, 4), -1.0, np.float32)]
    assert (matching_shift(silent, 1, RELU, np.array([0.3, 0.0])) == 0).all()


def test_channels_may_lie_along_the_last_axis():
    shift = matching_shift([np.zeros((5, 3), np.float32)], -1, Activation(), np.array([1.0, 2.0, 3.0]))
    assert shift.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (["Relu"], Activation(0.0)),
        (["Clip"], Activation(0.0, 6.0)),
        (["Tanh"], Activation()),
        (["Sigmoid", "Mul"], Activation(silu=True)),
        (["Relu", "Relu"], Activation()),
    ],
)
def test_the_activation_that_alone_reads_a_node_is_found(behind, expected):
    weights = {"w": np.ones((2, 2, 1, 1), np.float32)}
    nodes, outputs = [helper.make_node("Conv", ["x", "w"], ["c"], name="conv", kernel_shape=[1, 1])], {}
    for i, kind in enumerate(behind):
        inputs = {"Clip": ["c", "low", "high"], "Mul": ["c", "y0"]}.get(kind, ["c"])
        nodes.append(helper.make_node(kind, inputs, [f"y{i}"]))
        outputs[f"y{i}"] = [1, 2, 4, 4]
    if "Clip" in behind:
        weights |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    graph = Graph(make(nodes, weights, {"x": [1, 2, 4, 4]}, outputs))
    assert activation_behind(graph, compute_nodes(graph)[0]) == expected
