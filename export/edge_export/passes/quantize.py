"""Quantize: write the chosen precision into the graph as standard ONNX (QDQ for int8, Cast for FP16 storage)."""

from __future__ import annotations

from dataclasses import replace

from edge_export.graph import Arrays, Graph
from edge_export.quant.qdq import WeightCache, to_qdq
from edge_export.quant.select import compute_nodes, plan_tensors
from edge_export.state import Draft, Progress
from edge_runtime.bundle.manifest import NodePrecision

__all__ = ["quantize"]


def quantize(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with its graph in the chosen mix; the cheap nodes that became int8 join `precision`."""
    names = {node.node for node in draft.precision if node.precision == "int8"}
    stored = {node.node for node in draft.precision if node.precision == "int8-weights"}
    int4 = {node.node for node in draft.precision if node.precision == "int4-weights"}
    if not names and not stored and not int4 and not draft.half_weights:
        return draft
    graph = Graph(draft.model)
    candidates = compute_nodes(graph)
    plan = plan_tensors(graph, names, candidates, draft.barred)
    needed = {item.weight for item in candidates} | {item.bias for item in candidates if item.bias}
    cache = WeightCache(Arrays(graph, needed | set(draft.half_weights)), draft.rounded, draft.shifts)
    model = to_qdq(
        draft.model,
        plan,
        draft.params or {},
        [item for item in candidates if item.name in names],
        draft.half_weights,
        cache,
        [item for item in candidates if item.name in stored],
        [item for item in candidates if item.name in int4],
        pack=True,
    )
    level = None if draft.mix_db is None else round(draft.mix_db, 2)
    measured = "" if level is None else f"; all int8 nodes together leave the outputs at {level:.1f} dB"
    cheap = tuple(
        NodePrecision(node.name, node.op_type, "int8", f"lies between int8 nodes{measured}", level)
        for node in draft.model.graph.node
        if node.name in plan.nodes
    )
    return replace(draft, model=model, precision=draft.precision + cheap)
