"""Second inputs that are only sizes become constants of the graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edge_export.model.graph_io import ImageInput, image_input, input_names
from edge_export.model.size_inputs import fill_sizes


def model(name, shape, kind=TensorProto.FLOAT):
    """y = the size input as floats; the image does nothing."""
    nodes = [helper.make_node("Cast", [name], ["y"], to=TensorProto.FLOAT)]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 24, 32]),
            helper.make_tensor_value_info(name, kind, shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("name", "shape", "kind", "value"),
    [
        ("scale_factor", [1, 2], TensorProto.FLOAT, [[1, 1]]),
        ("scale_factor", ["n", 2], TensorProto.FLOAT, [[1, 1]]),
        ("im_shape", [1, 2], TensorProto.FLOAT, [[24, 32]]),
        ("im_info", [1, 3], TensorProto.FLOAT, [[24, 32, 1]]),
        ("orig_target_sizes", ["N", 2], TensorProto.INT64, [[32, 24]]),
        ("image_shape", [2], TensorProto.FLOAT, [24, 32]),
    ],
)
def test_a_size_is_filled_with_that_of_the_input(name, shape, kind, value):
    proto = model(name, shape, kind)
    filled, notes = fill_sizes(proto, image_input(proto))
    assert [entry.name for entry in filled.graph.input] == ["image"]
    assert repr(name) in notes[0]
    assert input_names(filled) == ("image", name)  # what told a family still does
    session = onnxruntime.InferenceSession(filled.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": np.zeros((1, 3, 24, 32), np.float32)})
    np.testing.assert_array_equal(found, value)
    assert len(proto.graph.input) == 2  # the source is not touched


@pytest.mark.parametrize(("shape", "sides"), [([1, 8, 8], (1, 8, 8)), (["n", "h", "w"], (1, 24, 32))])
def test_a_mask_of_the_pictures_own_pixels_is_filled_with_ones(shape, sides):
    """optimum exports DETR with one of 64x64."""
    proto = model("pixel_mask", shape, TensorProto.INT64)
    filled, notes = fill_sizes(proto, image_input(proto))
    session = onnxruntime.InferenceSession(filled.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": np.zeros((1, 3, 24, 32), np.float32)})
    np.testing.assert_array_equal(found, np.ones(sides))
    assert notes == ("the input 'pixel_mask' is filled with ones: all pixels are the picture's",)


@pytest.mark.parametrize(
    ("name", "shape"), [("pixel_mask", [1, 2]), ("state", [1, 2]), ("scale_factor", [1, 3]), ("im_shape", [1, 2, 2])]
)
def test_other_inputs_stay(name, shape):
    proto = model(name, shape)
    assert fill_sizes(proto, image_input(proto)) == (proto, ())


def test_nothing_is_filled_while_the_pictures_size_is_free():
    proto = model("im_shape", [1, 2])
    assert fill_sizes(proto, ImageInput("image", 0, 0, 3, "nchw", "float32")) == (proto, ())
    assert isinstance(proto, onnx.ModelProto)
