"""Units: nodes that onnxruntime runs as one kernel, and which so change precision together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from edge_export.graph import Graph
from edge_export.quant.select import Compute, absorbed_output, plan_tensors

__all__ = ["Unit", "find_units"]


@dataclass(frozen=True)
class Unit:
    """A node with weights (`compute`) or a cheap one between such, with the activation that fuses into it.

    `inputs` are the activations it reads that would be integers, `output` what leaves it.
    """

    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    output: str
    compute: Compute | None = None

    @property
    def name(self) -> str:
        """The name of its first node."""
        return str(self.nodes[0].name)

    @property
    def cheap(self) -> tuple[str, ...]:
        """The names of its nodes that could be integers without weights."""
        return () if self.compute else tuple(str(node.name) for node in self.nodes)


def find_units(graph: Graph, candidates: Sequence[Compute]) -> list[Unit]:
    """Return every unit that could be int8, in graph order: those of the graph with all of them int8."""
    able = {item.name: item for item in candidates if not item.refusal}
    cheap = plan_tensors(graph, set(able), list(candidates)).nodes
    units: list[Unit] = []
    done: set[str] = set()
    for node in graph.model.graph.node:
        if node.name in done or (node.name not in able and node.name not in cheap):
            continue
        compute = able.get(node.name)
        nodes = _with_silu(graph, node, cheap) or _with_clamp(graph, node)
        done |= {str(one.name) for one in nodes}
        read = [node.input[0]] if compute else [name for name in node.input if name and name not in graph.weights]
        units.append(Unit(tuple(nodes), tuple(dict.fromkeys(map(str, read))), str(nodes[-1].output[0]), compute))
    return units


def _with_silu(graph: Graph, node: onnx.NodeProto, cheap: frozenset[str]) -> list[onnx.NodeProto] | None:
    """x * Sigmoid(x) is one kernel for floats."""
    product = graph.only_reader(node.output[0]) if node.op_type == "Sigmoid" else None
    if product is None or product.op_type != "Mul" or product.name not in cheap:
        return None
    return [node, product] if set(product.input) == {node.input[0], node.output[0]} else None


def _with_clamp(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    output = absorbed_output(graph, node)
    return [node] if output == node.output[0] else [node, graph.producer[output]]
