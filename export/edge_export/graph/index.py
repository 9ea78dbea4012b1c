"""Small readers of an ONNX graph that every pass shares: who makes a value, who reads it, what a weight holds."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph.outside import inside, outside_spot, point_outside, tensor_array, without_initializers

__all__ = [
    "Arrays",
    "Graph",
    "attribute",
    "captured_names",
    "copy_without_weights",
    "default_opset",
    "subgraphs",
]


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """Return a node's attribute as a Python value, or `default` where it is not set."""
    for item in node.attribute:
        if item.name == name:
            return onnx.helper.get_attribute_value(item)
    return default


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the bodies of a control-flow node (If, Loop, Scan)."""
    for item in node.attribute:
        if item.type == onnx.AttributeProto.GRAPH:
            yield item.g
        elif item.type == onnx.AttributeProto.GRAPHS:
            yield from item.graphs


def captured_names(node: onnx.NodeProto) -> set[str]:
    """Return the outer-scope values that the bodies of a control-flow node read."""
    names: set[str] = set()
    for body in subgraphs(node):
        own = {value.name for value in body.input} | {weight.name for weight in body.initializer}
        own |= {output for inner in body.node for output in inner.output}
        read = {name for inner in body.node for name in inner.input} | {value.name for value in body.output}
        read |= set().union(*(captured_names(inner) for inner in body.node)) if body.node else set()
        names |= {name for name in read if name and name not in own}
    return names


def default_opset(model: onnx.ModelProto) -> int:
    """Return the version of the ai.onnx operator set that the model imports (1 where it names none)."""
    versions = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    return max(versions, default=1)


@dataclass
class Graph:
    """An index over a model's top-level graph. Build it anew after a change: it does not follow edits."""

    model: onnx.ModelProto
    producer: dict[str, onnx.NodeProto] = field(init=False)
    readers: dict[str, list[onnx.NodeProto]] = field(init=False)
    weights: dict[str, onnx.TensorProto] = field(init=False)
    inputs: tuple[str, ...] = field(init=False)
    outputs: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.weights = {weight.name: weight for weight in graph.initializer}
        self.producer = {output: node for node in graph.node for output in node.output if output}
        self.readers = {}
        for node in graph.node:
            for name in self.reads(node):
                self.readers.setdefault(name, []).append(node)
        self.inputs = tuple(value.name for value in graph.input if value.name not in self.weights)
        self.outputs = tuple(value.name for value in graph.output)

    @staticmethod
    def reads(node: onnx.NodeProto) -> list[str]:
        """Return every value a node needs, captures of its bodies included, each once, in order."""
        return list(dict.fromkeys([name for name in node.input if name] + sorted(captured_names(node))))

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """Return a node's inputs that are computed at run time."""
        return [name for name in self.reads(node) if name not in self.weights]

    def array(self, name: str) -> NDArray[np.generic]:
        """Return the value of an initializer, read-only; the data may be in the model or outside (outside.py)."""
        return tensor_array(self.weights[name])

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """Return the node that alone reads a value which is not a graph output, else None."""
        nodes = self.readers.get(name, [])
        return nodes[0] if len(nodes) == 1 and name not in self.outputs else None


class Arrays(Mapping[str, NDArray[np.generic]]):
    """Initializers of a graph by name, read when they are asked for: those outside take no memory before and after."""

    def __init__(self, graph: Graph, names: Collection[str]) -> None:
        self._graph, self._names = graph, dict.fromkeys(names)

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        if name not in self._names:
            raise KeyError(name)
        return self._graph.array(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def copy_without_weights(
    model: onnx.ModelProto, folder: Path, file_name: str, threshold: int = 1024
) -> onnx.ModelProto:
    """Write the big initializers to `folder/file_name` and return a copy of the model that refers to them.

    The copy is small, so many variants of it can be made and loaded from `folder` without copying weights. Files of
    weights that are outside the model already are linked into the folder.
    """
    slim = without_initializers(model)
    linked: set[Path] = set()
    offset = 0
    with (folder / file_name).open("wb") as stream:
        for weight in model.graph.initializer:
            spot = outside_spot(weight)
            if spot is not None and (spot.file in linked or _link(spot.file, folder)):
                linked.add(spot.file)
                outside = slim.graph.initializer.add()
                outside.CopyFrom(weight)
                point_outside(outside, spot.file.name, spot.offset, spot.length)
                continue
            if weight.data_type == onnx.TensorProto.STRING:
                slim.graph.initializer.append(weight)
                continue
            data = tensor_array(weight).tobytes()
            if len(data) < threshold:
                slim.graph.initializer.append(inside(weight))
                continue
            padding = -offset % 64
            stream.write(b"\0" * padding)
            stream.write(data)
            outside = slim.graph.initializer.add(name=weight.name, data_type=weight.data_type, dims=weight.dims)
            point_outside(outside, file_name, offset + padding, len(data))
            offset += padding + len(data)
    return slim


def _link(file: Path, folder: Path) -> bool:
    """Make a file appear in a folder without copying it; False where the file system cannot."""
    target = folder / file.name
    try:
        if not target.exists():
            os.link(file, target)
        return target.samefile(file)
    except OSError:
        return False
