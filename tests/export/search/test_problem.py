"""The labelling problem of a graph: what is int8 follows from times, penalties and what is asked for."""

import pytest
from tiny_models import convnet

from edge_export.graph import Graph
from edge_export.quant.select import compute_nodes, plan_tensors
from edge_export.search.latency.micro import signature
from edge_export.search.latency.table import LatencyTable, Times
from edge_export.search.latency.units import find_units
from edge_export.search.problem import SearchSpace

FREE = {"in": (0.0, 0.0), "out": (0.0, 0.0), "flat-in": (0.0, 0.0), "flat-out": (0.0, 0.0)}


@pytest.fixture
def graph():
    return Graph(convnet((3, 16, 32, 32)))


def space(graph, times, edges=FREE):
    candidates = compute_nodes(graph)
    units = find_units(graph, candidates)
    shapes = {name: (1, 4, 8, 8) for unit in units for name in (*unit.inputs, unit.output)}
    table = LatencyTable("a machine", 1, edges=edges)
    table.kernels = {signature(graph, unit, shapes): times(unit) for unit in units}
    return SearchSpace(graph, units, shapes, table)


def test_everything_is_int8_where_integers_are_faster(graph):
    mix = space(graph, lambda unit: Times(2.0, 1.0)).cheapest({})
    assert mix.named("int8") == {item.name for item in compute_nodes(graph)}
    assert not mix.barred


def test_nothing_is_int8_where_integers_are_slower(graph):
    assert not space(graph, lambda unit: Times(1.0, 2.0)).cheapest({}).named("int8")


def test_a_kernel_that_is_not_there_is_never_chosen(graph):
    first = compute_nodes(graph)[0].name
    mix = space(graph, lambda unit: Times(2.0, float("inf") if unit.name == first else 1.0)).cheapest({})
    assert first not in mix.named("int8")
    assert mix.named("int8")


def test_a_node_that_is_asked_to_be_float_is(graph):
    first = compute_nodes(graph)[0].name
    assert first not in space(graph, lambda unit: Times(2.0, 1.0)).cheapest({}, frozenset({first})).named("int8")


def test_a_penalty_makes_a_node_float(graph):
    first = compute_nodes(graph)[0].name
    every = space(graph, lambda unit: Times(2.0, 1.0))
    assert first in every.cheapest({first: 0.5}).named("int8")
    assert first not in every.cheapest({first: 1.5}).named("int8")


def test_a_dear_way_in_and_out_keeps_a_small_gain_float(graph):
    dear = dict.fromkeys(FREE, (100.0, 0.0))
    assert not space(graph, lambda unit: Times(2.0, 1.0), dear).cheapest({}).named("int8")


def test_without_a_table_integers_are_taken_to_be_faster(graph):
    candidates = compute_nodes(graph)
    every = SearchSpace(graph, find_units(graph, candidates), {}, None)
    assert every.cheapest({}).named("int8") == {item.name for item in candidates}


def test_a_cheap_node_that_is_barred_stays_float(graph):
    candidates = compute_nodes(graph)
    names = {item.name for item in candidates}
    cheap = plan_tensors(graph, names, candidates).nodes
    assert cheap
    assert not plan_tensors(graph, names, candidates, cheap).nodes


def test_a_unit_that_could_not_be_timed_alone_spoils_no_price(graph):
    unknown = Times(float("inf"), float("inf"))
    first = find_units(graph, compute_nodes(graph))[0].name
    every = space(graph, lambda unit: unknown if unit.name == first else Times(2.0, 1.0))
    assert sum(times.float_us for times in every.times) < float("inf")
    assert every.cheapest({}).named("int8") == {item.name for item in compute_nodes(graph)}
