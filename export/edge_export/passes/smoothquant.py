"""SmoothQuant: move outlier channels of a transformer's activations into the weights that read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_export.graph import Graph
from edge_export.passes.calibrate import calibrate
from edge_export.quant.repair.accept import repaired
from edge_export.quant.repair.smoothquant import Site, best_factors, find_sites
from edge_export.quant.select import compute_nodes
from edge_export.quant.stream import Stream
from edge_export.state import Draft, Progress

__all__ = ["smoothed", "smoothquant"]

ROWS = 512  # of a site's input that the exponent is chosen on, over all samples


def smoothquant(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with factors moved and its ranges measured anew, or as it was where that gains nothing."""
    return repaired(draft, progress, "migration", ("good", "best"), _change)


def _change(draft: Draft, progress: Progress) -> tuple[Draft, str] | None:
    changed, exponents = smoothed(draft)
    if not exponents:
        return None
    counts = ", ".join(f"{a:g} ({n})" for a, n in sorted(exponents.items()))
    return calibrate(changed, progress), f"{exponents.total()} places, exponents a = {counts}"


def smoothed(draft: Draft) -> tuple[Draft, Counter[float]]:
    """Return the draft with the function of its graph unchanged, and how often each exponent was chosen."""
    graph = Graph(draft.model)
    sites = find_sites(graph, [item for item in compute_nodes(graph) if not item.refusal])
    if not sites:
        return draft, Counter()
    seen = _inputs(draft, sites)
    model = onnx.ModelProto()
    model.CopyFrom(draft.model)
    own = {weight.name: weight for weight in model.graph.initializer}
    chosen: Counter[float] = Counter()
    for site in sites:
        weights = [_as_inputs_by_outputs(graph, item.weight, item.axis) for item in site.readers]
        found = best_factors(seen[site.tensor].rows(), seen[site.tensor].peaks, weights)
        if found is None:
            continue
        factors, exponent = found
        chosen[exponent] += 1
        for name in site.affine:
            values = np.asarray(graph.array(name), np.float32)
            own[name].CopyFrom(numpy_helper.from_array(np.asarray(values / factors, np.float32), name))
        for item, weight in zip(site.readers, weights, strict=True):
            moved = weight * factors[:, None]
            moved = np.ascontiguousarray(moved if item.axis == 1 else moved.T, np.float32)
            own[item.weight].CopyFrom(numpy_helper.from_array(moved, item.weight))
    if not chosen:
        return draft, chosen
    return replace(draft, model=draft.weights.move_out(model) if draft.weights else model), chosen


@dataclass
class _Seen:
    """Sampled rows of one tensor and the largest |x| of each channel."""

    peaks: NDArray[np.float64]
    parts: list[NDArray[np.float32]] = field(default_factory=list)

    def rows(self) -> NDArray[np.float32]:
        return np.concatenate(self.parts)


def _inputs(draft: Draft, sites: list[Site]) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    each = max(1, ROWS // max(1, len(draft.calibration)))
    generator = np.random.default_rng(draft.options.seed)

    def look(name: str, values: NDArray[np.generic]) -> None:
        rows = np.asarray(values, np.float32).reshape(-1, values.shape[-1])
        seen = found.setdefault(name, _Seen(np.zeros(rows.shape[1])))
        seen.peaks = np.maximum(seen.peaks, np.abs(rows).max(axis=0, initial=0.0))
        taken = generator.choice(len(rows), min(each, len(rows)), replace=False)
        seen.parts.append(rows[np.sort(taken)])

    with Stream(draft.model, {site.tensor for site in sites}) as stream:
        stream.run_all(draft.calibration, look)
    return found


def _as_inputs_by_outputs(graph: Graph, name: str, axis: int) -> NDArray[np.float32]:
    weight = np.asarray(graph.array(name), np.float32)
    return weight if axis == 1 else weight.T
