"""Round weights: choose up or down for each int8 weight by what its layer's output loses on real inputs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_export.graph import Graph, attribute
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.repair.accept import repaired
from edge_export.quant.repair.im2col import im2col, window_of
from edge_export.quant.repair.layerwise import LayerwiseRun
from edge_export.quant.repair.rounding import round_rows
from edge_export.quant.repair.sqnr import weights_sqnr
from edge_export.quant.select import Compute, compute_nodes
from edge_export.quant.sparse import zero_share
from edge_export.quant.workbench import Workbench
from edge_export.search.targets import target_db
from edge_export.state import Draft, Progress, QuantizedWeight

__all__ = ["adaptive_weights", "round_weights"]

Floats = NDArray[np.float32]

SAMPLES = {"fast": 8, "good": 32, "best": 32}
COLUMNS = 8192  # of a layer's input, over all samples
QUICK_WEIGHTS = 2_000_000  # models of up to so many are rounded at the good effort too: seconds, and the largest gain
BUDGET = 16 << 20  # bytes of activations that a layerwise run holds in memory; the rest waits in files
PRUNED = 0.4  # share of zeros from which on weights are taken to be pruned
# Matrices grow with the square of a layer's inputs: beyond these they are taken in parts, as if uncorrelated.
MOST_INPUTS = 1152


def round_weights(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with `rounded` weights, or as it was where they gain nothing. Larger models only at the best
    effort: what it takes grows with the weights; with little effort only where the nearest weights ruin the answers.
    """
    count = sum(math.prod(weight.dims) for weight in draft.model.graph.initializer)
    efforts = ["best"] if count > QUICK_WEIGHTS else ["good", "best"]
    options = draft.options
    quick = options.effort == "fast" and options.quantize == "int8" and draft.params and count <= QUICK_WEIGHTS
    if quick and not arrived_quantized(draft.model) and weights_sqnr(draft).worst_db < target_db("fast"):
        efforts.append("fast")
    return repaired(draft, progress, "adaptive rounding", efforts, _change, weights_sqnr)


def _change(draft: Draft, progress: Progress) -> tuple[Draft, str] | None:
    rounded = adaptive_weights(draft, progress)
    left = len([item for item in compute_nodes(Graph(draft.model)) if not item.refusal]) - len(rounded)
    words = f"weights of {len(rounded)} layers rounded by what their outputs lose"
    return (
        (replace(draft, rounded=rounded), words + (f", {left} left as they are" if left else "")) if rounded else None
    )


def adaptive_weights(draft: Draft, progress: Progress) -> dict[str, QuantizedWeight]:
    """Return the rounded weights by node; a node whose equations have no solution keeps the nearest."""
    rounded: dict[str, QuantizedWeight] = {}
    with Workbench(replace(draft, rounded={}, shifts={})) as bench:
        plan = bench.plan()
        layerwise = LayerwiseRun(
            bench.slim, bench.folder, list(draft.samples(SAMPLES[draft.options.effort])), BUDGET, "float"
        )
        generator = np.random.default_rng(draft.options.seed)
        with progress.step("adaptive rounding", len(bench.able)) as advance:
            for item in bench.able:
                advance()
                layerwise.advance(item.name, behind=False)
                if zero_share(bench.cache.floats(item)) >= PRUNED:
                    continue  # what was pruned stays zero: it is stored compressed
                scale = (draft.params or {})[plan.scale_of[item.node.input[0]]].scale
                nearest = bench.cache.quantized(item, scale)
                with contextlib.suppress(np.linalg.LinAlgError):
                    rounded[item.name] = _rounded(layerwise, item, bench.cache.floats(item), nearest, generator)
    return rounded


def _rounded(
    layerwise: LayerwiseRun, item: Compute, weight: Floats, nearest: QuantizedWeight, generator: np.random.Generator
) -> QuantizedWeight:
    group = int(str(attribute(item.node, "group", 1))) if item.op == "Conv" else 1
    outputs_first = np.moveaxis(weight, item.axis, 0)
    rows = np.ascontiguousarray(outputs_first).reshape(group, len(outputs_first) // group, -1)
    scales = nearest.scale.reshape(group, -1)
    values = np.empty(rows.shape, np.int8)
    parts = -(-rows.shape[2] // MOST_INPUTS)
    seed = int(generator.integers(1 << 31))
    for part in np.array_split(np.arange(rows.shape[2]), parts):
        gram = np.zeros((group, len(part), len(part)), np.float32)
        for x in _columns(layerwise, item, weight.shape, group, seed):
            seen = x[:, :, part[0] : part[-1] + 1].transpose(1, 0, 2)
            gram += np.matmul(seen.transpose(0, 2, 1), seen) / np.float32(COLUMNS)
        values[:, :, part] = round_rows(np.ascontiguousarray(rows[:, :, part]), scales, gram)
    back = np.moveaxis(values.reshape(outputs_first.shape), 0, item.axis)
    return QuantizedWeight(np.ascontiguousarray(back), nearest.scale, nearest.axis)


def _columns(layerwise: LayerwiseRun, item: Compute, shape: tuple[int, ...], group: int, seed: int) -> Iterator[Floats]:
    """Yield what the weights meet in each sample, [columns, groups, inputs]: the same places for the same seed."""
    generator = np.random.default_rng(seed)
    each = max(1, COLUMNS // max(1, layerwise.count))
    for values in layerwise.every(layerwise.input_of(item.name)):
        if item.op == "Conv":
            window = window_of(item.node, tuple(shape[2:]), values.shape[2:])
            found = im2col(values, window, each, generator)
            yield found.reshape(len(found), group, -1)
        else:
            flat = np.asarray(values, np.float32).reshape(-1, values.shape[-1])
            taken = np.sort(generator.choice(len(flat), min(each, len(flat)), replace=False))
            yield flat[taken][:, None, :]
