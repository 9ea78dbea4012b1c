"""What onnxruntime wrote twice is there once, at any depth, and everything else as it was."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edge_runtime.bundle.wire import field
from edge_runtime.prepare.named_once import named_once


def inline(name):
    return numpy_helper.from_array(np.ones((2, 2), np.float32), name)


def external(name):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "x.bin", "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def branch(initializers, deeper=()):
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])
    return helper.make_graph([*deeper, helper.make_node("Identity", ["a"], ["y"])], "branch", [], [y], initializers)


def choice(first, second):
    return helper.make_node("If", ["first"], ["y"], then_branch=first, else_branch=second)


def model(node, initializers=()):
    first = helper.make_tensor_value_info("first", TensorProto.BOOL, [])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])
    return helper.make_model(helper.make_graph([node], "choice", [first], [y], list(initializers)))


def test_a_subgraphs_tensor_that_is_there_twice_stays_as_the_external_one():
    twice, once = branch([inline("a"), external("a")]), branch([external("a")])
    made = named_once(model(choice(twice, branch([inline("a")]))).SerializeToString())
    assert ModelProto.FromString(made) == model(choice(once, branch([inline("a")])))


def test_a_subgraph_within_a_subgraph_is_looked_into():
    def nested(inner):
        return model(choice(branch([inline("a")], [choice(inner, branch([inline("a")]))]), branch([inline("a")])))

    made = named_once(nested(branch([inline("a"), external("a")])).SerializeToString())
    assert ModelProto.FromString(made) == nested(branch([external("a")]))


def test_tensors_of_one_name_in_two_graphs_are_two_tensors():
    data = model(choice(branch([inline("a")]), branch([external("a")])), [external("a")]).SerializeToString()
    assert named_once(data) is data


@pytest.mark.parametrize("data", [b"garbage", b"\x3a\x04\x0a\xff\xff\xff"])
def test_what_is_no_model_is_a_value_error(data):
    with pytest.raises(ValueError, match="the graph is damaged"):
        named_once(data)


def test_a_graph_nested_without_end_is_refused():
    graph = b""
    for _ in range(60):
        graph = field(1, field(5, field(6, graph)))  # a node, its attribute, the graph in that
    with pytest.raises(ValueError, match="nested deeper"):
        named_once(field(7, graph))
