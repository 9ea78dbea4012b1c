"""Free dimensions: a batch stays free only where it is proved to be one, everything else needs a number."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_export.cleanups.shapes import declared_shape
from edge_export.passes.clean import clean_graph
from edge_runtime.errors import ModelError, UsageError


def unary(op, shape, out=None, **attributes):
    return build([helper.make_node(op, ["x"], ["y"], **attributes)], {"x": shape}, {"y": out})


def build(nodes, inputs, outputs, weights=None):
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "test",
        [info(*item) for item in inputs.items()],
        [info(*item) for item in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def shapes(model, wanted=None):
    cleaned = clean_graph(model, wanted or {})
    graph = cleaned.model.graph
    return {v.name: declared_shape(v) for v in (*graph.input, *graph.output)}, cleaned.notes


def test_a_batch_stays_symbolic():
    found, _ = shapes(unary("Relu", ["N", 4], ["N", 4]))
    assert found == {"x": ("batch", 4), "y": ("batch", 4)}


@pytest.mark.parametrize("unknown", [None, 0, -1, ""])
def test_every_spelling_of_an_unknown_batch_is_understood(unknown):
    model = unary("Relu", [None, 4], [None, 4])
    dim = model.graph.input[0].type.tensor_type.shape.dim[0]
    if isinstance(unknown, int):
        dim.dim_value = unknown
    elif unknown is not None:
        dim.dim_param = unknown
    assert shapes(model)[0]["x"] == ("batch", 4)


def test_items_that_are_mixed_are_no_batch():
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ]
    found, notes = shapes(build(nodes, {"x": ["N", 4]}, {"y": ["N", 4]}))
    assert found["x"] == (1, 4)
    assert any("answered differently beside another" in note for note in notes)


def test_a_graph_that_takes_one_item_only_is_fixed_to_one():
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = build([node], {"x": ["N", 4]}, {"y": [1, 2, 2]}, {"shape": np.array([1, 2, 2], np.int64)})
    found, notes = shapes(model)
    assert found == {"x": (1, 4), "y": (1, 2, 2)}
    assert any("two items do not run" in note for note in notes)


def test_an_output_without_the_batch_first_fixes_it():
    found, notes = shapes(unary("Transpose", ["N", 4], [4, "N"], perm=[1, 0]))
    assert found["x"] == (1, 4)
    assert any("'y' does not have the batch" in note for note in notes)


def test_a_free_size_is_refused_with_the_flag_that_fills_it():
    with pytest.raises(ModelError, match=r"input 'x'.*dimension 2 is free.*--input-shape x:1,3,224,224"):
        clean_graph(unary("Relu", ["N", 3, "H", "W"]), {})


def test_a_wanted_shape_fills_free_sizes_and_leaves_the_batch_free():
    found, _ = shapes(unary("Relu", ["N", 3, "H", "W"]), {"x": (1, 3, 8, 6)})
    assert found == {"x": ("batch", 3, 8, 6), "y": ("batch", 3, 8, 6)}


def test_a_wanted_batch_above_one_is_fixed():
    assert shapes(unary("Relu", ["N", 4]), {"x": (5, 4)})[0]["x"] == (5, 4)


def test_one_name_has_one_number_in_all_inputs():
    node = helper.make_node("Add", ["a", "b"], ["y"])
    model = build([node], {"a": [1, "L"], "b": [1, "L"]}, {"y": [1, "L"]})
    assert shapes(model, {"a": (1, 7)})[0] == {"a": (1, 7), "b": (1, 7), "y": (1, 7)}
    with pytest.raises(UsageError, match="'L' in the model, was given as 7 elsewhere, found 8"):
        clean_graph(model, {"a": (1, 7), "b": (1, 8)})


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"z": (1, 4)}, "no such input; its inputs are x"),
        ({"x": (1, 4, 4)}, "has 2 dimensions"),
        ({"x": (1, 5)}, "is 4 in the model and cannot become 5"),
        ({"x": (0, 4)}, "must be 1 or more"),
    ],
)
def test_a_wanted_shape_that_contradicts_the_file_is_refused(wanted, words):
    with pytest.raises(UsageError, match=words):
        clean_graph(unary("Relu", ["N", 4]), wanted)


def test_a_name_for_another_dimension_than_the_batch_is_refused():
    with pytest.raises(UsageError, match="only the first dimension"):
        clean_graph(unary("Relu", ["N", "L"]), {"x": (1, "length")})


def test_a_demanded_batch_that_the_graph_cannot_have_is_refused():
    with pytest.raises(ModelError, match="does not treat its items one by one"):
        clean_graph(unary("Transpose", ["N", 4], perm=[1, 0]), {"x": ("batch", 4)})


def test_an_input_of_unknown_rank_needs_the_flag():
    model = unary("Relu", ["N", 4])
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="not even how many dimensions"):
        clean_graph(model, {})
    assert shapes(model, {"x": (1, 9)})[0]["x"] == ("batch", 9)


def test_a_count_that_depends_on_the_data_stays_free():
    node = helper.make_node("NonZero", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert shapes(model)[0]["y"] == (2, "y_1")


def test_a_dimension_that_would_need_gigabytes_is_refused():
    with pytest.raises(ModelError, match="expected at most"):
        clean_graph(unary("Relu", [1, "L"]), {"x": (1, 1 << 40)})


def test_an_example_is_used_where_made_up_values_do_not_run():
    # Reshape needs the length that the second input says: only 4 works
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "n"], ["y"])],
        "test",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2]),
            helper.make_tensor_value_info("n", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert clean_graph(model, {}).probe is None
    example = {"x": np.ones((2, 2), np.float32), "n": np.array([4], np.int64)}
    assert clean_graph(model, {}, example).probe is not None
