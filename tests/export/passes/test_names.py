import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tiny_models import convnet, make, samples

from edge_export.passes.names import renamed
from edge_export.run import open_session, run

FEED = {"images": samples(2)}


def lengthened(model, prefix):
    """The same model with a long prefix before every inner name, as exporters write them."""
    fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        for values in (node.input, node.output):
            for i, name in enumerate(values):
                if name and name not in fixed:
                    values[i] = prefix + name
    for weight in copy.graph.initializer:
        weight.name = prefix + weight.name
    return copy


@settings(max_examples=15)
@given(st.text("abc/._", min_size=0, max_size=60))
def test_new_names_never_change_the_answer(prefix):
    model = convnet()
    found = renamed(lengthened(model, prefix))
    assert np.array_equal(run(open_session(model), FEED)["logits"], run(open_session(found), FEED)["logits"])


def test_long_names_become_short_and_nodes_keep_theirs():
    found = renamed(lengthened(convnet(), "/a/very/long/path/of/modules/"))
    assert [node.name for node in found.graph.node] == [node.name for node in convnet().graph.node]
    names = {name for node in found.graph.node for name in (*node.input, *node.output)}
    assert "Conv_0" in names
    assert not any("modules" in name for name in names)


def test_short_names_stay():
    model = convnet()
    assert renamed(model).SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("shadow", [False, True])
def test_bodies_of_control_flow_read_the_new_names_unless_they_hide_them(shadow):
    long = "/a/very/long/name/of/hidden"
    inner = [helper.make_node("Neg", ["images"], [long])] if shadow else []

    def branch(name):
        body = [*inner, helper.make_node("Identity", [long], [f"{name}_out"])]
        return helper.make_graph(body, name, [], [onnx.ValueInfoProto(name=f"{name}_out")])

    nodes = [
        helper.make_node("Relu", ["images"], [long if not shadow else "other"], name="relu"),
        helper.make_node("ReduceSum", [long if not shadow else "other"], ["total"], name="sum", keepdims=0),
        helper.make_node("Cast", ["total"], ["flag"], name="cast", to=onnx.TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["y"], name="if", then_branch=branch("t"), else_branch=branch("e")),
    ]
    model = make(nodes, {}, {"images": [2, 3, 16, 16]}, {"y": [2, 3, 16, 16]})
    assert np.array_equal(run(open_session(model), FEED)["y"], run(open_session(renamed(model)), FEED)["y"])
