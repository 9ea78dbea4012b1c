"""Calibrate: run the clean graph over the calibration set twice and keep each tensor's histogram.

Memory is one sample's activations plus BINS counters a tensor, however many samples there are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.draft import Draft, Progress
from edge_export.graph import Graph
from edge_export.ort import expose, open_session, run
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.params import search_params
from edge_export.quant.ranges import Histogram
from edge_export.quant.select import compute_nodes, plan_tensors
from edge_runtime.errors import DataError, ModelError, UsageError

__all__ = ["calibrate"]


def calibrate(draft: Draft, progress: Progress) -> Draft:
    """Measure the range of every tensor that could become int8. Does nothing unless int8 is asked for."""
    if draft.options.quantize != "int8" or arrived_quantized(draft.model):
        return draft
    graph = Graph(draft.model)
    candidates = compute_nodes(graph)
    plan = plan_tensors(graph, {item.name for item in candidates if not item.refusal}, candidates)
    if not plan.tensors:
        return draft
    if draft.options.calibrate is None and not draft.options.random_calibration:
        raise UsageError(
            "int8 needs to see real inputs: give --calibrate a folder of images or an .npz of tensors "
            "(or choose --quantize fp16 or fp32, which need none)"
        )
    # Every planned tensor, not only those that give a scale now: with fewer int8 nodes others do.
    names = sorted(plan.tensors)
    # Graph inputs need no running; onnxruntime wants at least one output all the same.
    inner = [name for name in names if name not in graph.inputs] or [graph.outputs[0]]
    session = open_session(expose(draft.model, inner))
    ranges = {name: Histogram() for name in names}
    with progress.step("calibrate", 2 * len(draft.calibration)) as advance:
        for look in (Histogram.see_range, Histogram.see_counts):
            for sample in draft.calibration:
                values = {**sample, **run(session, sample)}
                for name, histogram in ranges.items():
                    try:
                        look(histogram, values[name])
                    except ValueError as error:
                        raise _not_finite(draft, graph, name, str(error)) from error
                advance()
    if not len(draft.calibration):
        raise DataError(f"{draft.options.calibrate} holds no samples")
    return replace(draft, params=search_params(graph, ranges))


def _not_finite(draft: Draft, graph: Graph, name: str, found: str) -> ModelError:
    """Blame a value that is not finite on weights where any before it are broken, else on the data."""
    maker = graph.producer.get(name)
    for node in draft.model.graph.node if maker is not None else ():
        for weight in node.input:
            # Infinity alone can be meant: it masks attention and opens a Clip.
            if weight in graph.weights and _holds_nan(graph.array(weight)):
                return ModelError(
                    f"node {node.name!r} gives values that are not finite, because its weights {weight!r} hold NaN: "
                    "the model is damaged, or its training diverged; export a good checkpoint"
                )
        if node is maker:
            break
    where = f"node {maker.name!r}" if maker is not None else f"input {name!r}"
    return ModelError(
        f"{where} gives {found} on the calibration data; check the pre-processing flags (--mean, --std, --scale) "
        f"and the data in {draft.options.calibrate}"
    )


def _holds_nan(values: NDArray[np.generic]) -> bool:
    return values.dtype.kind == "f" and bool(np.isnan(values).any())
