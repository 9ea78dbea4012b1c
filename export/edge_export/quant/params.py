"""From histograms to the quantization parameters of each tensor."""

from __future__ import annotations

from collections.abc import Mapping

from edge_export.graph import Graph
from edge_export.quant.ranges import Histogram, QuantParams, best_range, params_of_range, silu

__all__ = ["search_params"]


def search_params(graph: Graph, ranges: Mapping[str, Histogram]) -> dict[str, QuantParams]:
    """Return uint8 parameters for every tensor that has a histogram."""
    return {
        name: params_of_range(*best_range(histogram, silu if _feeds_silu(graph, name) else None))
        for name, histogram in ranges.items()
    }


def _feeds_silu(graph: Graph, name: str) -> bool:
    """Tell whether a tensor is read by x * Sigmoid(x) and by nothing else."""
    readers = graph.readers.get(name, [])
    if name in graph.outputs or sorted(node.op_type for node in readers) != ["Mul", "Sigmoid"]:
        return False
    sigmoid, product = sorted(readers, key=lambda node: str(node.op_type), reverse=True)
    return set(product.input) == {name, sigmoid.output[0]}
