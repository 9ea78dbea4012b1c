"""What the nodes of a graph come to, before anything writes its functions out."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, helper
from tiny_models import convnet

from edge_runtime.bundle.calls import MOST_NODES, check_calls


def node(name, domain="own", **more):
    return NodeProto(op_type=name, domain=domain, **more)


def function(name, *nodes):
    return FunctionProto(name=name, domain="own", node=nodes)


def model_of(*nodes, functions=()):
    return ModelProto(ir_version=9, graph=GraphProto(node=nodes), functions=functions).SerializeToString()


def test_a_network_passes():
    check_calls(convnet().SerializeToString())


def test_functions_that_double_at_every_step_are_refused_at_once():
    functions = [function(f"f{n}", node(f"f{n + 1}"), node(f"f{n + 1}")) for n in range(60)]
    check_calls(model_of(node("f50"), functions=[*functions, function("f60", node("Relu", ""))]))
    with pytest.raises(ValueError, match=f"more than {MOST_NODES} nodes"):
        check_calls(model_of(node("f0"), functions=[*functions, function("f60", node("Relu", ""))]))
    empty = [*functions, function("f60")]
    with pytest.raises(ValueError, match="more than"):
        check_calls(model_of(node("f0"), functions=empty))


def test_functions_that_call_each_other_in_a_circle_are_refused():
    with pytest.raises(ValueError, match="'own::a' calls itself"):
        check_calls(model_of(node("a"), functions=[function("a", node("b")), function("b", node("a"))]))


def test_a_function_in_a_graph_within_counts():
    inner = GraphProto(node=[node("f0")])
    branch = NodeProto(op_type="If", attribute=[helper.make_attribute("then_branch", inner)])
    functions = [function(f"f{n}", *[node(f"f{n + 1}")] * 30) for n in range(5)]
    with pytest.raises(ValueError, match="more than"):
        check_calls(model_of(branch, functions=[*functions, function("f5", node("Relu", ""))]))


def test_a_function_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="the function 'own::f' twice"):
        check_calls(model_of(functions=[function("f"), function("f", node("Relu", ""))]))


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
@pytest.mark.parametrize("name", ["RandomUniform", "Multinomial", "Bernoulli"])
def test_nodes_of_chance_are_refused_wherever_they_are(name, domain):
    inner = GraphProto(node=[node(name, domain)])
    branch = NodeProto(op_type="If", attribute=[helper.make_attribute("then_branch", inner)])
    for model in (model_of(node(name, domain)), model_of(branch), model_of(functions=[function("f", branch)])):
        with pytest.raises(ValueError, match=f"a node of chance \\({name}\\)"):
            check_calls(model)
    check_calls(model_of(node(name, "own")))


def test_graphs_within_graphs_pass():
    graph = GraphProto(node=[node("Relu", "")])
    for _ in range(20):
        graph = GraphProto(node=[NodeProto(op_type="If", attribute=[helper.make_attribute("a", graph)])])
    data = ModelProto(graph=graph).SerializeToString()
    check_calls(data)


@given(st.binary(max_size=300))
def test_any_bytes_pass_or_are_refused(data):
    with contextlib.suppress(ValueError):  # anything else is a bug
        check_calls(data)


@given(st.data())
def test_a_damaged_graph_passes_or_is_refused(data):
    damaged = bytearray(model_of(node("f"), functions=[function("f", node("g")), function("g", node("Relu", ""))]))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        check_calls(bytes(damaged))
