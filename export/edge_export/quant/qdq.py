"""Write a mix of precisions into a graph as standard ONNX: the nodes of each scheme by its own quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from edge_export.graph import Graph
from edge_export.quant.cache import WeightCache
from edge_export.quant.fp16 import write_halves
from edge_export.quant.int8 import write_activations
from edge_export.quant.schemes import SCHEMES, integer_nodes
from edge_export.quant.select import Compute, TensorPlan, plan_tensors
from edge_export.quant.writer import GraphWriter
from edge_export.state import Mix, QuantParams

__all__ = ["plan_of", "to_qdq"]


def plan_of(graph: Graph, mix: Mix, candidates: list[Compute]) -> TensorPlan:
    """Return the activations that are quantized in a mix; `candidates` are all compute nodes of the graph."""
    return plan_tensors(graph, integer_nodes(mix), candidates, mix.barred)


def to_qdq(
    model: onnx.ModelProto,
    mix: Mix,
    plan: TensorPlan,
    candidates: Sequence[Compute],
    params: Mapping[str, QuantParams],
    cache: WeightCache,
    pack: bool = False,
) -> onnx.ModelProto:
    """Return a copy of `model` in a mix of precisions. `plan` is the mix's; `pack` compresses int8 weights that are
    mostly zero.

    `params` holds the parameters of every tensor that `plan.scale_of` names. The model's own weights may lie in an
    external file: values are taken from `cache`.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = GraphWriter(result, plan, params, cache, pack)
    write_activations(writer, integer_nodes(mix))
    for scheme in SCHEMES:
        for item in candidates:
            if mix.precision(item.name) == scheme.name:
                scheme.write(writer, item)
    writer.halves |= mix.halves
    write_halves(writer)
    writer.finish()
    return result
