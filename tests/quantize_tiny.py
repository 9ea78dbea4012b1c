"""Calibrate and quantize a small model with the real quantizer, without the pipeline round it."""

from __future__ import annotations

from edge_export.graph import Graph
from edge_export.quant.params import search_params
from edge_export.quant.qdq import WeightCache, to_qdq
from edge_export.quant.ranges import Histogram
from edge_export.quant.select import compute_nodes, plan_tensors
from edge_export.run import expose, open_session, run


def quantized(model, feeds, names=None, half=()):
    """Return the QDQ model and its tensor plan; `names` limits int8 to some nodes."""
    graph = Graph(model)
    candidates = compute_nodes(graph)
    chosen = [item for item in candidates if not item.refusal and (names is None or item.name in names)]
    plan = plan_tensors(graph, {item.name for item in chosen}, candidates)
    wanted = sorted(set(plan.scale_of.values()))
    ranges = {name: Histogram() for name in wanted}
    session = open_session(expose(model, [name for name in wanted if name not in graph.inputs] or ["logits"]))
    for feed in feeds:
        values = {**feed, **run(session, feed)}
        for name in wanted:
            ranges[name].see(values[name])
    cache = WeightCache({name: graph.array(name) for name in graph.weights})
    return to_qdq(model, plan, search_params(graph, ranges), chosen, half, cache), plan
