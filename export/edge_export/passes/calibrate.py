"""Calibrate: run the clean graph over the calibration set once and keep each tensor's histogram.

Memory is the activations of one segment of the graph plus BINS counters a tensor, however many samples there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.graph import Graph
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.params import channel_axis, search_params
from edge_export.quant.ranges import ChannelRanges, Histogram
from edge_export.quant.select import compute_nodes, plan_tensors
from edge_export.quant.stream import Stream
from edge_export.state import Draft, Progress, QuantParams
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
    if not len(draft.calibration):
        raise DataError(f"{draft.options.calibrate} holds no samples")
    # Every planned tensor, not only those that give a scale now: with fewer int8 nodes others do.
    names = sorted(plan.tensors)
    ranges = {name: Histogram.of_pixels() if name in graph.inputs else Histogram() for name in names}
    axes = {name: channel_axis(graph, name) for name in names}
    channels = {name: ChannelRanges(axis) for name, axis in axes.items() if axis is not None}

    def look(name: str, values: NDArray[np.generic]) -> None:
        try:
            ranges[name].see(values)
        except ValueError as error:
            raise _not_finite(draft, graph, name, str(error)) from error
        if name in channels:
            channels[name].see(values)

    with Stream(draft.model, names) as stream, progress.step("calibrate", len(draft.calibration)) as advance:
        for sample in draft.calibration:
            stream.run(sample, look)
            advance()
    params = search_params(graph, ranges, channels)
    _report(params, progress)
    return replace(draft, params=params)


def _report(params: Mapping[str, QuantParams], progress: Progress) -> None:
    methods = Counter(found.method.split()[0] for found in params.values())
    text = ", ".join(f"{count} {method}" for method, count in sorted(methods.items()))
    far = [(name, len(found.outliers)) for name, found in params.items() if found.outliers]
    names = ", ".join(f"{name!r} ({count})" for name, count in far[:3]) + (" ..." if len(far) > 3 else "")
    progress.note(
        f"calibrate: ranges of {len(params)} tensors: {text}" + (f"; outlier channels: {names}" if far else "")
    )


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
