"""Units are timed as the kernels that onnxruntime makes of them, once for each shape."""

import math

import pytest
from onnx import helper
from tiny_models import convnet, make

import edge_export.search.latency.micro as micro
from edge_export.graph import Graph, default_opset
from edge_export.quant.select import compute_nodes
from edge_export.search.latency.micro import measure_edges, measure_units, signature
from edge_export.search.latency.shapes import value_shapes
from edge_export.search.latency.table import LatencyTable
from edge_export.search.latency.units import find_units


def prepared(model, sample):
    graph = Graph(model)
    units = find_units(graph, compute_nodes(graph))
    names = [name for unit in units for name in (*unit.inputs, unit.output)]
    return graph, units, value_shapes(model, model, sample, names)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(micro, "ROUNDS", 2)
    import numpy as np

    model = convnet((3, 16, 32, 32))
    (value,) = model.graph.input
    shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    return model, {value.name: np.zeros(shape, np.float32)}


def test_every_unit_of_a_network_has_both_kernels(tiny):
    graph, units, shapes = prepared(*tiny)
    table = LatencyTable("m", 1)
    measure_units(graph, units, shapes, default_opset(tiny[0]), table)
    for unit in units:
        times = table.kernels[signature(graph, unit, shapes)]
        assert math.isfinite(times.float_us)
        assert math.isfinite(times.int8_us)


def test_a_shape_that_is_known_is_not_timed_again(tiny):
    graph, units, shapes = prepared(*tiny)
    table = LatencyTable("m", 1)
    assert measure_units(graph, units, shapes, default_opset(tiny[0]), table) == len(table.kernels)
    assert measure_units(graph, units, shapes, default_opset(tiny[0]), table) == 0


def test_another_machines_table_is_not_measured_into(tiny):
    graph, units, shapes = prepared(*tiny)
    table = LatencyTable("m", 1, measurable=False)
    assert measure_units(graph, units, shapes, default_opset(tiny[0]), table) == 0
    measure_edges(table)
    assert not table.edges


def test_the_way_to_integers_and_back_costs_something_for_every_element(monkeypatch):
    monkeypatch.setattr(micro, "ROUNDS", 3)
    table = LatencyTable("m", 1)
    measure_edges(table)
    assert set(table.edges) == {"in", "out", "flat-in", "flat-out"}
    assert all(start >= 0 and each >= 0 for start, each in table.edges.values())


def test_the_activation_that_fuses_is_part_of_the_unit():
    model = make(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
            helper.make_node("Sigmoid", ["a"], ["s"], name="sigmoid"),
            helper.make_node("Mul", ["a", "s"], ["b"], name="product"),
            helper.make_node("Conv", ["b", "w"], ["c"], name="second"),
            helper.make_node("Relu", ["c"], ["y"], name="relu"),
        ],
        {"w": __import__("numpy").ones((4, 4, 1, 1), "float32")},
        {"x": [1, 4, 8, 8]},
        {"y": [1, 4, 8, 8]},
    )
    graph = Graph(model)
    units = find_units(graph, compute_nodes(graph))
    assert [[node.name for node in unit.nodes] for unit in units] == [
        ["conv"],
        ["sigmoid", "product"],
        ["second", "relu"],
    ]


def test_units_of_other_shapes_have_other_signatures(tiny):
    graph, units, shapes = prepared(*tiny)
    larger = {name: tuple(2 * size for size in shape) for name, shape in shapes.items()}
    assert signature(graph, units[0], shapes) != signature(graph, units[0], larger)
