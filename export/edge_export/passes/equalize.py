"""Equalize: carry the channels of a tensor at like ranges, where the graph lets their readers take it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_export.graph import Graph, attribute
from edge_export.passes.calibrate import calibrate
from edge_export.quant.repair.accept import repaired
from edge_export.quant.repair.channels import Channels, channel_classes
from edge_export.quant.repair.cle import (
    Carried,
    Reader,
    best_factors,
    clip_errors,
    components,
    scaled_bias,
    scaled_weight,
)
from edge_export.quant.repair.statistics import ChannelStatistics, channel_statistics
from edge_export.quant.select import Compute, compute_nodes, plan_tensors
from edge_export.state import Draft, Progress

__all__ = ["equalize", "equalized"]

SAMPLES = 8
_MANY_WEIGHTS = 1 << 22
_WORTH = 0.99  # predicted noise must fall below this part of what it was


def equalize(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with an equalized graph and its ranges, or as it was where that gains nothing."""
    return repaired(draft, progress, "equalization", ("good", "best"), _change)


def _change(draft: Draft, progress: Progress) -> tuple[Draft, str] | None:
    changed, count, tensors = equalized(draft)
    if not count:
        return None
    return calibrate(changed, progress), f"{count} channels of {tensors} tensors rescaled"


def equalized(draft: Draft) -> tuple[Draft, int, int]:
    """Return the draft with the function of its graph unchanged, the channels rescaled and the tensors they are in."""
    graph = Graph(draft.model)
    compute = compute_nodes(graph)
    channels, held = channel_classes(graph, compute)
    if not channels.ids:
        return draft, 0, 0
    able = [item for item in compute if not item.refusal]
    seen = channel_statistics(draft.model, _axes(graph, able, channels), draft.samples(SAMPLES))
    factors, tensors = _factors(graph, able, channels, held, seen)
    moved = sum(1 for value in factors.values() if value != 1.0)
    if not moved:
        return draft, 0, 0
    model = _rescaled(graph, able, channels, factors)
    return replace(draft, model=draft.weights.move_out(model) if draft.weights else model), moved, tensors


def _axes(graph: Graph, able: Sequence[Compute], channels: Channels) -> dict[str, int]:
    axes = dict.fromkeys(channels.ids, 1)
    for item in able:
        axes.setdefault(item.node.output[0], 1 if item.op == "Conv" else -1)
    return axes


def _factors(
    graph: Graph,
    able: Sequence[Compute],
    channels: Channels,
    held: set[int],
    seen: Mapping[str, ChannelStatistics],
) -> tuple[dict[int, float], int]:
    """Choose the factor of every class, one connected set of tensors at a time."""
    plan = plan_tensors(graph, {item.name for item in able}, list(able))
    chosen: dict[int, float] = {}
    touched = 0
    for names in components(channels.ids):
        ordered = [name for name in channels.ids if name in names]
        classes = np.unique(np.concatenate([channels.ids[name] for name in ordered]))
        place = {name: np.searchsorted(classes, channels.ids[name]) for name in ordered}
        free = np.array([int(one) not in held for one in classes])
        quantized = [name for name in ordered if name in plan.tensors]
        carried = [Carried(place[name], _errors(seen[name])) for name in quantized]
        readers = _readers(graph, able, quantized, place, len(classes), seen)
        if not free.any() or not readers:
            continue
        found, before, after = best_factors(free, carried, readers)
        if after < _WORTH * before:
            chosen.update({int(one): float(value) for one, value in zip(classes, found, strict=True)})
            touched += len(quantized)
    return chosen, touched


def _readers(
    graph: Graph,
    able: Sequence[Compute],
    quantized: Sequence[str],
    place: Mapping[str, NDArray[np.int64]],
    count: int,
    seen: Mapping[str, ChannelStatistics],
) -> list[Reader]:
    found = []
    for item in able:
        source = item.node.input[0]
        if source not in quantized:
            continue
        rows = np.moveaxis(np.asarray(graph.array(item.weight), np.float32), item.axis, 0)
        group = _group(item)
        rows = rows.reshape(group, rows.shape[0] // group, rows.shape[1], -1)
        # The noise of a very large layer is told from a part of its outputs.
        rows = rows[:, :: -(-rows.size // _MANY_WEIGHTS)]
        chosen = np.arange(len(seen[item.node.output[0]].energy)).reshape(group, -1)
        chosen = chosen[:, :: -(-np.asarray(graph.weights[item.weight].dims).prod() // _MANY_WEIGHTS)]
        out = float(seen[item.node.output[0]].energy[chosen].sum())
        if out <= 0.0:
            continue
        energy = np.zeros(count)
        energy[place[source]] = seen[source].energy
        found.append(
            Reader(
                peaks=np.abs(rows).max(axis=3),
                squares=np.square(rows).sum(axis=(1, 3), dtype=np.float64),
                kernel=rows.shape[3],
                places=place[source].reshape(group, -1),
                input=quantized.index(source),
                energy=energy,
                out_energy=out,
            )
        )
    return found


def _errors(seen: ChannelStatistics) -> NDArray[np.float32]:
    low, high = max(0.0, -float(seen.low.min())), max(0.0, float(seen.high.max()))
    span = (low + high) / max(low, high, 1e-30)
    return clip_errors(seen.magnitudes, seen.count, span)


def _group(item: Compute) -> int:
    return int(str(attribute(item.node, "group", 1))) if item.op == "Conv" else 1


def _rescaled(
    graph: Graph, able: Sequence[Compute], channels: Channels, factors: Mapping[int, float]
) -> onnx.ModelProto:
    """Return a copy of the model with the factors in its weights."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    own = {weight.name: weight for weight in model.graph.initializer}

    def vector(tensor: str) -> NDArray[np.float64] | None:
        ids = channels.ids.get(tensor)
        if ids is None:
            return None
        values = np.array([factors.get(int(one), 1.0) for one in ids])
        return values if (values != 1.0).any() else None

    for item in able:
        into, out = vector(item.node.input[0]), vector(item.node.output[0])
        if into is None and out is None:
            continue
        weight = np.asarray(graph.array(item.weight), np.float32)
        outputs, inputs = weight.shape[item.axis], weight.shape[1 if item.axis == 0 else 0]
        group = _group(item)
        into = np.ones(inputs * group) if into is None else into
        out = np.ones(outputs) if out is None else out
        values = scaled_weight(weight, item.axis, group, into, out)
        own[item.weight].CopyFrom(numpy_helper.from_array(values, item.weight))
        if item.bias:
            bias = scaled_bias(np.asarray(graph.array(item.bias), np.float32), out)
            own[item.bias].CopyFrom(numpy_helper.from_array(bias, item.bias))
    return model
