"""Which channels of a graph's tensors must share a scale when each channel is divided by a factor of its own.

A channel c may be carried as x_c / r_c wherever everything between its writer and its readers is positively
homogeneous (f(x / r) = f(x) / r for r > 0: ReLU, pooling, zero padding, resizing, addition of equals): the writer's
weights take 1 / r, the readers' weights take r (Nagel et al., arXiv 1906.04721, section 4.1). Channels that meet in an
addition share one factor, a concatenation lays them side by side; anything else holds them at 1. Union-find over
single channels says which factors are free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph import Graph, attribute, captured_names
from edge_export.quant.select import Compute

__all__ = ["Channels", "channel_classes", "clip_bounds", "tensor_shapes"]

Ids = NDArray[np.int64]
_SAME = frozenset(
    {
        *("Relu", "LeakyRelu", "Identity", "Dropout"),
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample", "Pad"),
    }
)
_FLATTENING = frozenset({"Flatten", "Reshape", "Squeeze"})


@dataclass
class Channels:
    """`ids[t]` gives the class of each channel of tensor t (axis 1, or the last one for rank 2). A tensor that is not
    in `ids` keeps its scale, as do the classes in `held`.
    """

    ids: dict[str, Ids] = field(default_factory=dict)
    _parent: list[int] = field(default_factory=list)
    _held: set[int] = field(default_factory=set)

    def make(self, tensor: str, count: int) -> None:
        """Give a tensor `count` new channels, each a class of its own."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        self.ids[tensor] = np.arange(start, start + count)

    def hold(self, tensor: str) -> None:
        """Keep the scale of a tensor's channels as it is."""
        self._held.update(int(i) for i in self.ids.get(tensor, ()))

    def join(self, one: str, other: str) -> None:
        """Let the channels of two tensors share their factors, one by one."""
        for a, b in zip(self.ids[one], self.ids[other], strict=True):
            self._parent[self._find(int(a))] = self._find(int(b))

    def settle(self) -> set[int]:
        """Replace every id by its class; return the classes that are held at 1."""
        roots = np.array([self._find(i) for i in range(len(self._parent))], np.int64)
        self.ids = {name: roots[ids] for name, ids in self.ids.items()}
        return {int(roots[i]) for i in self._held}

    def _find(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i


def tensor_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a model declares for its values; a dimension that may vary is 0."""
    graph = model.graph
    return {
        value.name: tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def channel_classes(graph: Graph, compute: Sequence[Compute]) -> tuple[Channels, set[int]]:
    """Return the channels of every tensor whose scale may change, settled, and the classes that are held at 1.

    `compute` are the nodes that can take factors into their weights.
    """
    able = {item.name: item for item in compute if _absorbs(graph, item)}
    shapes = tensor_shapes(graph.model)
    channels = Channels()
    for node in graph.model.graph.node:
        item = able.get(node.name)
        if item is not None:
            if item.op != "MatMul" or len(shapes.get(node.output[0], ())) == 2:
                channels.make(node.output[0], graph.weights[item.weight].dims[item.axis])
            source = node.input[0]
            if len(channels.ids.get(source, ())) != _inputs(graph, item) or not _on_axis_one(item, shapes):
                channels.hold(source)
        elif not _passes(graph, node, channels, shapes):
            for name in Graph.reads(node):
                channels.hold(name)
        for name in captured_names(node):
            channels.hold(name)
    for name in graph.outputs:
        channels.hold(name)
    return channels, channels.settle()


def _inputs(graph: Graph, item: Compute) -> int:
    dims = graph.weights[item.weight].dims
    if item.op == "Conv":
        return int(dims[1]) * int(str(attribute(item.node, "group", 1)))
    return int(dims[1 - item.axis])


def _on_axis_one(item: Compute, shapes: dict[str, tuple[int, ...]]) -> bool:
    return item.op == "Conv" or len(shapes.get(item.node.input[0], ())) == 2


def _absorbs(graph: Graph, item: Compute) -> bool:
    """Tell whether a node's weights and bias are its own: what two nodes share cannot be scaled for one of them."""
    alone = all(len(graph.readers[name]) == 1 for name in (item.weight, item.bias) if name)
    return item.refusal is None and alone and item.weight not in graph.outputs


def _passes(graph: Graph, node: onnx.NodeProto, channels: Channels, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Give a homogeneous node's output its channels; False: the node holds everything that it reads."""
    if node.domain not in ("", "ai.onnx") or not node.output:
        return False
    source, target = node.input[0] if node.input else "", node.output[0]
    ids = channels.ids.get(source)
    if node.op_type in ("Add", "Sum"):
        counts = {len(channels.ids.get(name, ())) for name in node.input}
        if ids is None or len(counts) > 1 or not _same_shape(node, shapes):
            return False
        for name in node.input[1:]:
            channels.join(source, name)
        channels.ids[target] = ids
        return True
    if node.op_type == "Concat":
        parts = [channels.ids.get(name) for name in node.input]
        if attribute(node, "axis", 1) != 1 or any(part is None for part in parts):
            return False
        channels.ids[target] = np.concatenate([part for part in parts if part is not None])
        return True
    if ids is None:
        return False
    if node.op_type == "Mul" and len(node.input) == 2:
        gate = graph.producer.get(node.input[1])
        fits = gate is not None and gate.op_type in ("Sigmoid", "HardSigmoid") and node.input[1] not in channels.ids
        if not fits or source == node.input[1]:
            return False
        channels.ids[target] = ids
        return True
    if node.op_type == "Clip" and clip_bounds(graph, node) == (0.0, None):
        channels.ids[target] = ids
        return True
    if node.op_type == "PRelu":
        slope = graph.weights.get(node.input[1])
        if slope is None:
            return False
        channels.ids[target] = ids
        return True
    if node.op_type in _FLATTENING:
        flat = _element_per_channel(shapes.get(source, ()), len(ids)) and shapes.get(target, ())[1:] == (len(ids),)
    else:
        flat = node.op_type in _SAME and _keeps_channels(graph, node, shapes, len(ids))
    if flat:
        channels.ids[target] = ids
    return flat


def _same_shape(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    found = {shapes.get(name, (-1,))[1:] for name in node.input}
    return len(found) == 1


def _element_per_channel(shape: tuple[int, ...], channels: int) -> bool:
    """Tell whether [N, C, 1, 1] can lose its last axes without any channel moving."""
    return len(shape) >= 2 and shape[1] == channels and all(dim == 1 for dim in shape[2:])


def _keeps_channels(graph: Graph, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], count: int) -> bool:
    if len(node.output) > 1 and any(node.output[1:]):
        return False
    if node.op_type in ("Relu", "LeakyRelu", "Identity"):
        return True
    target = shapes.get(node.output[0], ())
    if len(target) < 3 or target[1] != count:
        return False
    if node.op_type != "Pad":
        return True
    value = node.input[2] if len(node.input) > 2 else ""
    return not value or (value in graph.weights and not graph.array(value).any())


def clip_bounds(graph: Graph, node: onnx.NodeProto) -> tuple[float | None, float | None]:
    """Return a Clip's constant bounds; None for one that is missing, NaN for one that is computed."""
    found: list[float | None] = []
    for place, name in ((1, "min"), (2, "max")):
        if len(node.input) > place and node.input[place] in graph.weights:
            found.append(float(graph.array(node.input[place]).reshape(-1)[0]))
        else:
            value = attribute(node, name, None) if len(node.input) < 2 else None
            computed = len(node.input) > place and bool(node.input[place])
            found.append(math.nan if computed else None if value is None else float(str(value)))
    return found[0], found[1]
