"""Quantize: write the chosen precision into the graph as standard ONNX (QDQ for int8, Cast for FP16 storage)."""

from __future__ import annotations

from dataclasses import replace

from edge_export.graph import Arrays, Graph
from edge_export.quant.cache import WeightCache
from edge_export.quant.qdq import plan_of, to_qdq
from edge_export.quant.select import compute_nodes
from edge_export.state import Draft, Progress
from edge_runtime.bundle.manifest import NodePrecision

__all__ = ["quantize"]


def quantize(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with its graph in the chosen mix; the cheap nodes that became int8 join `precision`."""
    mix = draft.mix
    if mix.changes_nothing:
        return draft
    graph = Graph(draft.model)
    candidates = compute_nodes(graph)
    plan = plan_of(graph, mix, candidates)
    needed = {item.weight for item in candidates} | {item.bias for item in candidates if item.bias}
    cache = WeightCache(Arrays(graph, needed | mix.halves), draft.rounded, draft.shifts)
    model = to_qdq(draft.model, mix, plan, candidates, draft.params or {}, cache, pack=True)
    level = None if draft.mix_db is None else round(draft.mix_db, 2)
    measured = "" if level is None else f"; all int8 nodes together leave the outputs at {level:.1f} dB"
    cheap = tuple(
        NodePrecision(node.name, node.op_type, "int8", f"lies between int8 nodes{measured}", level)
        for node in draft.model.graph.node
        if node.name in plan.nodes
    )
    return replace(draft, model=model, precision=draft.precision + cheap)
