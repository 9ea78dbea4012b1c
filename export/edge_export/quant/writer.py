"""Edit a graph in place so that its weights are stored, and its nodes compute, in other precisions.

What every quantizer needs: new constants under fresh names, nodes in front of the graph, behind a node or in its place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_export.graph import Graph
from edge_export.quant.cache import WeightCache
from edge_export.quant.select import Compute, TensorPlan
from edge_export.quant.sparse import sparse_nodes, worth_it
from edge_export.state import QuantParams

__all__ = ["GraphWriter", "replace_name"]


class GraphWriter:
    """Edits one model; nodes to insert are kept with the place where they belong until `finish`.

    `plan` are the activations that become int8, `params` holds the parameters of every tensor that its `scale_of`
    names. The model's own weights may lie in an external file: values are taken from `cache`. `pack` compresses int8
    weights that are mostly zero. A scheme adds to `halves` the initializers that are stored as FP16, to `instead` what
    takes a node's place.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        plan: TensorPlan,
        params: Mapping[str, QuantParams],
        cache: WeightCache,
        pack: bool,
    ) -> None:
        self.model, self.plan, self.params, self.cache, self._pack = model, plan, params, cache, pack
        self.graph = Graph(model)
        self.nodes = {node.name: node for node in model.graph.node}
        self.after: dict[str, list[onnx.NodeProto]] = {}  # producer's node name -> nodes that follow it
        self.front: list[onnx.NodeProto] = []
        self.instead: dict[str, list[onnx.NodeProto]] = {}  # by node name
        self.constants: dict[str, onnx.TensorProto] = {}
        self.halves: set[str] = set()
        self.made: dict[tuple[str, int], str] = {}  # scheme and identity of a quantized weight -> the value it makes
        self._taken = {name for node in model.graph.node for name in (*node.input, *node.output)}

    def input_scale(self, item: Compute) -> float:
        """Return the scale of what a node that computes in int8 reads."""
        return self.params[self.plan.scale_of[item.node.input[0]]].scale

    def int8(self, name: str, values: NDArray[np.generic]) -> str:
        """Store integers, compressed where that is asked for and pays, and return the value that holds them."""
        if not self._pack or values.dtype != np.int8 or not worth_it(values):
            return self.constant(name, values)
        nodes, constants, dense = sparse_nodes(self.fresh(f"{name}p"), values)
        self.front.extend(nodes)
        self.constants |= {constant.name: constant for constant in constants}
        return dense

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a constant, unless there is one of this name, and return its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def fresh(self, name: str) -> str:
        """Return a name that nothing else has, and take it."""
        while name in self._taken or name in self.graph.weights:
            name += "_"
        self._taken.add(name)
        return name

    def finish(self) -> None:
        """Put the new nodes in topological order, drop weights that nobody reads, add the new ones."""
        graph = self.model.graph
        ordered = list(self.front)
        for node in graph.node:
            ordered.extend(self.instead.get(node.name, [node]))
            ordered.extend(self.after.get(node.name, []))
        _assign(graph.node, ordered)
        read = {name for node in graph.node for name in Graph.reads(node)} | {value.name for value in graph.output}
        kept = [weight for weight in graph.initializer if weight.name in read]
        _assign(graph.initializer, kept + [self.constants[name] for name in sorted(self.constants)])


def replace_name(names: object, old: str, new: str, first_only: bool = False) -> None:
    """Replace a name in a node's inputs or outputs, everywhere or only where it stands first."""
    for i, name in enumerate(names):  # type: ignore[arg-type,var-annotated]
        if name == old:
            names[i] = new  # type: ignore[index]
            if first_only:
                return


def _assign(field_: object, items: list[object]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in items]  # type: ignore[attr-defined]
    del field_[:]  # type: ignore[attr-defined]
    field_.extend(copies)  # type: ignore[attr-defined]
