"""What a graph does to pixels first tells their range; it goes before what a family's row says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_export.model.families.common import IMAGENET, UNIT
from edge_export.model.families.family import Pixels
from edge_export.model.graph_io import image_input
from edge_export.model.pixels_inside import pixels_inside

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def channels(values):
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


def model(*steps, dtype=TensorProto.FLOAT):
    """A convolution behind `steps`: an operator, and the constants that it takes besides."""
    nodes, weights, name = [], [], "pixels"
    for index, (kind, *constants) in enumerate(steps):
        names = [f"c{index}_{place}" for place in range(len(constants))]
        weights += [
            numpy_helper.from_array(np.asarray(c, np.float32), n) for c, n in zip(constants, names, strict=True)
        ]
        attributes = {"Cast": {"to": TensorProto.FLOAT}, "Transpose": {"perm": [0, 1, 3, 2]}}.get(kind, {})
        nodes.append(helper.make_node(kind, [name, *names], [f"t{index}"], **attributes))
        name = f"t{index}"
    weights.append(numpy_helper.from_array(np.zeros((2, 3, 3, 3), np.float32), "w"))
    nodes.append(helper.make_node("Conv", [name, "w"], ["y"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("pixels", dtype, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 30, 30])], weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([], ""),
        ([("Mul", 1 / 255)], "bytes"),
        ([("Div", 255.0)], "bytes"),
        ([("Cast",), ("Transpose",), ("Div", 255.0)], "bytes"),
        ([("Mul", 1 / 127.5), ("Sub", 1.0)], "bytes"),
        ([("Div", 255.0), ("Sub", channels(MEAN)), ("Div", channels(STD))], "bytes"),
        ([("Sub", channels((104.0, 117.0, 123.0)))], "bytes"),
        ([("Sub", channels((123.675, 116.28, 103.53))), ("Div", channels((58.395, 57.12, 57.375)))], "bytes"),
        ([("BatchNormalization", np.ones(3), np.zeros(3), np.full(3, 120.0), np.full(3, 3600.0))], "bytes"),
        ([("Sub", channels(MEAN)), ("Div", channels(STD))], "unit"),
        ([("Sub", 0.5), ("Div", 0.5)], "unit"),
        ([("Mul", 2.0), ("Sub", 1.0)], "unit"),
        ([("Mul", 1.0)], ""),
        ([("Add", 3.0)], ""),
        ([("Relu",), ("Mul", 1 / 255)], ""),
    ],
)
def test_first_sums_and_products_tell_the_range(steps, told):
    assert pixels_inside(model(*steps), "pixels") == told


def test_a_product_with_something_that_is_no_constant_tells_nothing():
    made = model(("Mul", 1 / 255))
    made.graph.node[0].input[1] = "pixels"
    assert pixels_inside(made, "pixels") == ""


def test_two_branches_tell_nothing():
    made = model(("Mul", 1 / 255))
    made.graph.node.append(helper.make_node("Relu", ["pixels"], ["other"]))
    assert pixels_inside(made, "pixels") == ""


def test_a_constant_node_is_as_good_as_an_initializer():
    made = model()
    tensor = numpy_helper.from_array(np.array(255, np.float32), "v")
    made.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))
    made.graph.node.insert(1, helper.make_node("Div", ["pixels", "k"], ["scaled"]))
    made.graph.node[2].input[0] = "scaled"
    onnx.checker.check_model(made)
    assert pixels_inside(made, "pixels") == "bytes"


@pytest.mark.parametrize("row", [UNIT, IMAGENET, Pixels(colour="bgr", scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)])
def test_a_graph_that_scales_pixels_goes_before_its_familys_row(row):
    scaled = row.preprocess(image_input(model(("Mul", 1 / 255))))
    assert (scaled.scale, scaled.mean, scaled.std, scaled.colour) == (1.0, (0.0,) * 3, (1.0,) * 3, row.colour)
    normalised = row.preprocess(image_input(model(("Sub", channels(MEAN)), ("Div", channels(STD)))))
    assert (normalised.scale, normalised.mean, normalised.std) == (1 / 255, (0.0,) * 3, (1.0,) * 3)
