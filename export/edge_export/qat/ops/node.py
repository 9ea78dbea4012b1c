"""A node as the operator functions see it: its attributes as Python values, and shape inputs as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

import onnx
import torch
from torch import Tensor

__all__ = ["Inputs", "Node", "Operator", "axes_of", "numbers", "read_node"]

Inputs = list[Tensor | None]


@dataclass(frozen=True)
class Node:
    """Operator, its attributes (strings decoded, tensors as torch tensors), outputs it has, and the graph's opset."""

    op: str
    name: str
    attributes: dict[str, Any]
    outputs: int
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or `default` where it is not set."""
        return self.attributes.get(name, default)


Operator = Callable[[Node, Inputs], Union[Tensor, tuple[Tensor, ...]]]


def read_node(node: onnx.NodeProto, opset: int) -> Node:
    """Read a node's attributes once, so that running it is only arithmetic."""
    return Node(
        str(node.op_type),
        str(node.name),
        {item.name: _value(onnx.helper.get_attribute_value(item)) for item in node.attribute},
        len(node.output),
        opset,
    )


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return torch.from_numpy(onnx.numpy_helper.to_array(value).copy())
    return list(value) if isinstance(value, (list, tuple)) else value


def numbers(inputs: Inputs, slot: int) -> list[int] | None:
    """Return an integer input (axes, a shape) as a list; None where it is not given."""
    value = inputs[slot] if slot < len(inputs) else None
    return None if value is None else [int(v) for v in value.reshape(-1).tolist()]


def axes_of(node: Node, inputs: Inputs, slot: int = 1) -> list[int] | None:
    """Return the axes of a node: an attribute up to opset 12 (18 for most reductions), an input since."""
    axes = node.get("axes")
    return [int(axis) for axis in axes] if axes is not None else numbers(inputs, slot)
