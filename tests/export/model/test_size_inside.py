"""The size that a graph of free height and width brings pictures to itself."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_export.model.graph_io import image_input


def graph(*first, resized="x", sizes="sizes", shape=("n", 3, "h", "w"), constants=()):
    """Nodes, then a Resize of `resized` to `sizes`."""
    nodes = [*first, helper.make_node("Resize", [resized, "", "", sizes], ["y"])]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, "a", "b"])],
        [numpy_helper.from_array(np.asarray(value, np.int64), name) for name, value in constants],
    )
    return helper.make_model(made)


def sides(model):
    image = image_input(model)
    return image.width, image.height


def test_constant_sizes_are_the_pictures_size():
    assert sides(graph(constants=[("sizes", [1, 3, 240, 320])])) == (320, 240)


def test_batch_and_channels_may_stay_what_they_are():
    first = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "two"], ["kept"]),
        helper.make_node("Concat", ["kept", "sides"], ["sizes"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["same"]),
    ]
    constants = [("zero", [0]), ("two", [2]), ("sides", [240, 320])]
    assert sides(graph(*first, resized="same", constants=constants)) == (320, 240)


def test_what_is_done_to_pixels_before_does_not_tell():
    first = [helper.make_node("Conv", ["x", "w"], ["z"])]
    constants = [("sizes", [1, 3, 240, 320]), ("w", [1])]
    assert sides(graph(*first, resized="z", constants=constants)) == (0, 0)


@pytest.mark.parametrize("constants", [[("sizes", [240, 320])], []])
def test_other_sizes_do_not_tell(constants):
    assert sides(graph(constants=constants)) == (0, 0)


def test_a_size_that_is_told_stays():
    assert sides(graph(shape=(1, 3, 100, 200), constants=[("sizes", [1, 3, 240, 320])])) == (200, 100)
