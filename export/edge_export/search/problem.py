"""From a graph and its measured times to the labelling problem that a minimum cut solves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edge_export.graph import Graph
from edge_export.search.latency.micro import Shapes, signature
from edge_export.search.latency.table import LatencyTable, Times
from edge_export.search.latency.units import Unit
from edge_export.search.mincut import Problem, Tensor, solve
from edge_export.state import Mix

__all__ = ["SearchSpace"]

# Without measured times integers are taken to be this much cheaper than floats, whatever the node.
_UNMEASURED = Times(2.0, 1.0)


class SearchSpace:
    """Units of one graph, what each costs, and what a tensor between them costs where the precision changes."""

    def __init__(self, graph: Graph, units: Sequence[Unit], shapes: Shapes, table: LatencyTable | None) -> None:
        self.units = list(units)
        self.times = [_times(graph, unit, shapes, table) for unit in units]
        self._makers = {unit.output: place for place, unit in enumerate(units)}
        self._tensors = self._edges(graph, shapes, table)
        self._follows = [
            (place, self._makers[name])
            for place, unit in enumerate(units)
            if unit.compute is None
            for name in unit.inputs
            if name in self._makers
        ]
        # A cheap unit that reads what is always float has nothing to be integers with.
        self._never = {
            place
            for place, unit in enumerate(units)
            if unit.compute is None and any(name not in self._makers for name in unit.inputs)
        }

    def measured_times(self) -> dict[str, tuple[float, float]]:
        """Return the microseconds as float and as int8 of every unit that was measured, by its first node's name."""
        pairs = zip(self.units, self.times, strict=True)
        return {unit.name: (times.float_us, times.int8_us) for unit, times in pairs if times is not _UNMEASURED}

    def _edges(self, graph: Graph, shapes: Shapes, table: LatencyTable | None) -> list[Tensor]:
        places = {node.name: place for place, unit in enumerate(self.units) for node in unit.nodes}
        names = dict.fromkeys([*(name for unit in self.units for name in unit.inputs), *self._makers])
        tensors = []
        for name in names:
            readers: list[int | None] = []
            for node in graph.readers.get(name, []):
                place = places.get(node.name)
                readers.append(place if place is not None and name in self.units[place].inputs else None)
            if name in graph.outputs:
                readers.append(None)
            enter, leave = _edge_costs(shapes.get(name, ()), table)
            producer = self._makers.get(name)
            if producer is not None and _leaves_float(self.units[producer]):
                leave = 0.0
            tensors.append(Tensor(producer, tuple(dict.fromkeys(readers)), enter, leave))
        return tensors

    def cheapest(self, penalties: Mapping[str, float], floats: frozenset[str] = frozenset()) -> Mix:
        """Return which nodes are int8, and which cheap ones are barred from it, for the least time plus penalties
        (microseconds, by node with weights, paid where it is int8); the nodes `floats` are float.
        """
        costs = [
            float("inf")
            if place in self._never or (unit.compute is not None and unit.name in floats)
            else self.times[place].int8_us + penalties.get(unit.name, 0.0)
            for place, unit in enumerate(self.units)
        ]
        problem = Problem([one.float_us for one in self.times], costs, self._tensors, self._follows)
        labels = solve(problem)
        return self._mix(frozenset(unit.name for unit, int8 in zip(self.units, labels, strict=True) if int8))

    def _mix(self, int8_units: frozenset[str]) -> Mix:
        compute = (unit.name for unit in self.units if unit.compute is not None and unit.name in int8_units)
        left = (unit for unit in self.units if unit.compute is None and unit.name not in int8_units)
        return Mix.of("int8", compute, barred=(name for unit in left for name in unit.cheap))


def _times(graph: Graph, unit: Unit, shapes: Shapes, table: LatencyTable | None) -> Times:
    if table is None:
        return _UNMEASURED
    times = table.kernels.get(signature(graph, unit, shapes), _UNMEASURED)
    if not math.isfinite(times.float_us):  # the unit could not be run alone: that says nothing of it in the graph
        return Times(times.int8_us, times.int8_us) if math.isfinite(times.int8_us) else _UNMEASURED
    return times


def _edge_costs(shape: tuple[int, ...], table: LatencyTable | None) -> tuple[float, float]:
    """Microseconds to enter integers and to leave them for a tensor of this shape."""
    if table is None:
        return 0.0, 0.0
    count = 1
    for size in shape:
        count *= size
    kind = "" if len(shape) == 4 else "flat-"
    (start_in, in_), (start_out, out) = (table.edges.get(f"{kind}{way}", (0.0, 0.0)) for way in ("in", "out"))
    return start_in + in_ * count, start_out + out * count


def _leaves_float(unit: Unit) -> bool:
    """Integer MatMul and Gemm can give floats at no cost."""
    return unit.compute is not None and unit.compute.op in ("MatMul", "Gemm")
