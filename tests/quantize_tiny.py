"""Calibrate and quantize a small model with the real quantizer, without the pipeline round it."""

from __future__ import annotations

from dataclasses import replace

from edge_export.graph import Graph
from edge_export.quant.cache import WeightCache
from edge_export.quant.params import search_params
from edge_export.quant.qdq import plan_of, to_qdq
from edge_export.quant.ranges import Histogram
from edge_export.quant.select import compute_nodes
from edge_export.run import expose, open_session, run
from edge_export.state import Mix


def quantized(model, feeds, names=None, half=()):
    """Return the QDQ model and its tensor plan; `names` limits int8 to some nodes."""
    graph = Graph(model)
    candidates = compute_nodes(graph)
    chosen = [item.name for item in candidates if not item.refusal and (names is None or item.name in names)]
    mix = replace(Mix.of("int8", chosen), halves=frozenset(half))
    plan = plan_of(graph, mix, candidates)
    wanted = sorted(set(plan.scale_of.values()))
    ranges = {name: Histogram() for name in wanted}
    session = open_session(expose(model, [name for name in wanted if name not in graph.inputs] or ["logits"]))
    for feed in feeds:
        values = {**feed, **run(session, feed)}
        for name in wanted:
            ranges[name].see(values[name])
    cache = WeightCache({name: graph.array(name) for name in graph.weights})
    return to_qdq(model, mix, plan, candidates, search_params(graph, ranges), cache), plan
