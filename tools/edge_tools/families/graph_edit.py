"""Nodes behind a model's outputs or before its input: its layout changes and its right answers do not."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Editor", "shape_of"]


def shape_of(value: onnx.ValueInfoProto) -> list[int | str]:
    """Return the declared dimensions: numbers, names, or "" for unknown ones."""
    return [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]


class Editor:
    """A copy of a model whose graph is added to. Tensors are names; `give` says what the outputs are."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = copy.deepcopy(model)
        self.graph = self.model.graph
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self._count = 0

    def one(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Append a node of one output; return its name."""
        name = self.fresh()
        self.graph.node.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def fresh(self) -> str:
        """Return a name that nothing has."""
        self._count += 1
        return f"mutated_{self._count}"

    def constant(self, value: ArrayLike, kind: type[np.generic] = np.float32) -> str:
        """Add an initializer; return its name."""
        name = self.fresh()
        self.graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def columns(self, tensor: str, order: Sequence[int], axis: int) -> str:
        """Take columns of a tensor, in this order."""
        return self.one("Gather", tensor, self.constant(order, np.int64), axis=axis)

    def part(self, tensor: str, first: int, last: int, axis: int) -> str:
        """Cut columns `first` up to `last` out of a tensor."""
        limits = [self.constant([value], np.int64) for value in (first, last, axis)]
        return self.one("Slice", tensor, *limits)

    def joined(self, tensors: Sequence[str], axis: int) -> str:
        """Join tensors along an axis."""
        return self.one("Concat", *tensors, axis=axis)

    def scaled(self, tensor: str, by: ArrayLike) -> str:
        """Multiply a tensor."""
        return self.one("Mul", tensor, self.constant(by))

    def reshaped(self, tensor: str, shape: Sequence[int]) -> str:
        """Give a tensor another shape."""
        return self.one("Reshape", tensor, self.constant(shape, np.int64))

    def turned(self, tensor: str, order: Sequence[int]) -> str:
        """Transpose a tensor."""
        return self.one("Transpose", tensor, perm=list(order))

    def corners(self, boxes: str, axis: int) -> str:
        """Make x1 y1 x2 y2 of cx cy w h along an axis of 4."""
        centre, size = self.part(boxes, 0, 2, axis), self.part(boxes, 2, 4, axis)
        half = self.scaled(size, 0.5)
        return self.joined([self.one("Sub", centre, half), self.one("Add", centre, half)], axis)

    def centred(self, boxes: str, axis: int) -> str:
        """Make cx cy w h of x1 y1 x2 y2 along an axis of 4."""
        first, last = self.part(boxes, 0, 2, axis), self.part(boxes, 2, 4, axis)
        return self.joined([self.scaled(self.one("Add", first, last), 0.5), self.one("Sub", last, first)], axis)

    def give(self, outputs: Sequence[tuple[str, str, Sequence[int | str], int]]) -> onnx.ModelProto:
        """Name the outputs (tensor, name, shape, element type) in place of those that were, and return the model."""
        taken = {name for node in self.graph.node for name in (*node.input, *node.output)}
        taken |= {value.name for value in self.graph.input} | {value.name for value in self.graph.initializer}
        values = []
        for tensor, name, shape, kind in outputs:
            if tensor != name:
                if name in taken:
                    self._renamed(name)
                self.graph.node.append(helper.make_node("Identity", [tensor], [name]))
            values.append(helper.make_tensor_value_info(name, kind, list(shape)))
        del self.graph.output[:]
        self.graph.output.extend(values)
        onnx.checker.check_model(self.model)
        return self.model

    def before(self, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        """Put another input of this shape and kind before the first, under its name; return what the graph reads now.

        The caller makes it of the input with `first`.
        """
        value = self.graph.input[0]
        inner = self.fresh()
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                if name == value.name:
                    node.input[index] = inner
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, list(shape)))
        return inner

    def first(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> None:
        """Put a node before all others."""
        self.graph.node.insert(0, helper.make_node(kind, list(inputs), [output], **attributes))

    def _renamed(self, name: str) -> None:
        inner = self.fresh()
        for node in self.graph.node:
            for names in (node.input, node.output):
                for index, old in enumerate(names):
                    if old == name:
                        names[index] = inner
