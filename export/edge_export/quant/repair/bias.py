"""Bias correction: quantization moves the mean of a layer's outputs, and a bias takes that back for nothing.

Nagel et al. (arXiv 1906.04721, section 4.2): with weights W + e the output is off by E[e x] = e E[x], which is not
zero; clipped and rounded inputs add their share. Measured empirically, layer by layer in graph order, so that each
layer corrects what is left of the errors of those before it. What is made equal is the mean *behind* the activation
that alone reads the layer: below zero a ReLU forgets everything, and on SqueezeNet the means in front of it, once
equal, took the outputs from 36 dB down to 32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph import Graph
from edge_export.quant.repair.channels import clip_bounds
from edge_export.quant.repair.layerwise import LayerwiseRun
from edge_export.quant.select import Compute
from edge_export.quant.stream import Stream
from edge_export.state import Feeds

__all__ = [
    "Activation",
    "activation_behind",
    "can_shift",
    "channel_means",
    "corrections",
    "matching_shift",
    "output_axis",
]


_STEPS = 3
_LEAST_SLOPE = 0.02  # of a channel's values must get through


@dataclass(frozen=True)
class Activation:
    """min(max(x, low), high), or x * sigmoid(x)."""

    low: float = -np.inf
    high: float = np.inf
    silu: bool = False

    @property
    def plain(self) -> bool:
        """Whether it changes nothing."""
        return not self.silu and np.isinf(self.low) and np.isinf(self.high)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply it, elementwise."""
        if self.silu:
            return np.asarray(x * _sigmoid(x), np.float32)
        return x if self.plain else np.clip(x, np.float32(self.low), np.float32(self.high))

    def slope(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return its derivative, elementwise."""
        if self.silu:
            gate = _sigmoid(x)
            return np.asarray(gate * (1 + x * (1 - gate)), np.float32)
        return np.asarray((x > self.low) & (x < self.high), np.float32)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), np.float32)


def can_shift(item: Compute) -> bool:
    """Tell whether a node has, or can get, a bias."""
    return item.op in ("Conv", "Gemm")


def output_axis(item: Compute) -> int:
    """Return the axis of a compute node's output that holds its channels."""
    return 1 if item.op == "Conv" else -1


def activation_behind(graph: Graph, item: Compute) -> Activation:
    """Return what is computed of a node's output before anything else reads it."""
    name = item.node.output[0]
    reader = graph.only_reader(name)
    if reader is not None and reader.op_type == "Relu":
        return Activation(0.0, np.inf)
    if reader is not None and reader.op_type == "Clip" and reader.input[0] == name:
        low, high = clip_bounds(graph, reader)
        if any(bound is not None and math.isnan(bound) for bound in (low, high)):
            return Activation()
        return Activation(-np.inf if low is None else low, np.inf if high is None else high)
    gates = sorted(node.op_type for node in graph.readers.get(name, []))
    return Activation(silu=gates == ["Mul", "Sigmoid"] and name not in graph.outputs)


def channel_means(
    model: onnx.ModelProto, items: Mapping[str, Activation], axes: Mapping[str, int], samples: Iterable[Feeds]
) -> dict[str, NDArray[np.float64]]:
    """Return E[activation(x)] per channel of the float model's tensors `items`, over samples; `axes` as they are."""
    means: dict[str, list[NDArray[np.float64]]] = {name: [] for name in items}

    def look(name: str, values: NDArray[np.generic]) -> None:
        means[name].append(_by_channel(items[name](np.asarray(values, np.float32)), axes[name]))

    with Stream(model, set(items)) as stream:
        stream.run_all(samples, look)
    return {name: np.mean(found, axis=0) for name, found in means.items() if found}


def corrections(
    layerwise: LayerwiseRun,
    items: Sequence[Compute],
    behind: Mapping[str, Activation],
    expected: Mapping[str, NDArray[np.float64]],
) -> dict[str, NDArray[np.float32]]:
    """Walk the quantized graph through `items` (in graph order) and return what to add to the bias of each.

    `behind` and `expected` go by the name of a node's output in the float graph.
    """
    shifts: dict[str, NDArray[np.float32]] = {}
    for item in items:
        layerwise.advance(item.name)
        name, axis, source = layerwise.output_of(item.name), output_axis(item), str(item.node.output[0])
        if source not in expected:
            continue
        samples = layerwise.every(name)
        shift = matching_shift(samples, axis, behind[source], expected[source])
        if not shift.any() or not np.isfinite(shift).all():
            continue
        shifts[item.name] = shift
        for index, values in enumerate(samples):
            moved = np.asarray(values, np.float32) + _along(shift, values.ndim, axis)
            layerwise.values.put(name, index, np.asarray(moved, np.float32))
    return shifts


def matching_shift(
    samples: Sequence[NDArray[np.generic]], axis: int, behind: Activation, expected: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return s, float32 [channels], with E[activation(y + s)] = `expected` over the samples y, by Newton's method.

    A channel that its activation silences almost everywhere stays as it is: its few values tell nothing.
    """
    shift = np.zeros(len(expected), np.float64)
    for _ in range(1 if behind.plain else _STEPS):
        found, slope = np.zeros(len(expected)), np.zeros(len(expected))
        for values in samples:
            moved = np.asarray(np.asarray(values, np.float32) + _along(shift, values.ndim, axis), np.float32)
            found += _by_channel(behind(moved), axis) / len(samples)
            slope += _by_channel(behind.slope(moved), axis) / len(samples)
        alive = slope >= _LEAST_SLOPE
        shift[alive] += (expected[alive] - found[alive]) / slope[alive]
    return shift.astype(np.float32)


def _along(values: NDArray[np.floating], rank: int, axis: int) -> NDArray[np.floating]:
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def _by_channel(values: NDArray[np.generic], axis: int) -> NDArray[np.float64]:
    rows = np.moveaxis(values, axis, 0)
    return np.asarray(rows.reshape(len(rows), -1).mean(axis=1, dtype=np.float64))
