"""Which pixels a graph takes, told by what it does to them first: one that divides by 255 itself takes 0..255.

Followed from the image input through what only moves values (Cast, Transpose, ...) and through sums and products with
constants, up to the first node that does something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

__all__ = ["PixelRange", "pixels_inside", "small_constants"]

# "bytes": 0..255, "unit": 0..1 without a mean taken off, "": the graph does not tell.
PixelRange = Literal["", "bytes", "unit"]
_Floats = NDArray[np.float64]

_MOVES = ("Cast", "Clip", "Flatten", "Identity", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze")
_ASKS = ("Shape", "Size")  # reads no pixel
_SHRINKS = 1 / 40  # 1/255 in deviations of 0.2 is 1/51, and 1/127.5 for -1..1 is less
_SHIFTS = 40.0  # a mean of pixels of 0..255; those of 0..1 are below 1
_SPREADS = (1.5, 8.0)  # 1 over the deviations of pixels of 0..1: ImageNet's are 0.22 to 0.23, others take 0.5
_MIDDLE = (0.05, 0.95)
_MOST_NODES = 32


def pixels_inside(model: onnx.ModelProto, name: str) -> PixelRange:
    """Tell the range of the pixels of the input `name` by the graph's first sums and products."""
    constants = small_constants(model)
    scale, shift = np.ones(1), np.zeros(1)
    for _ in range(_MOST_NODES):
        readers = [node for node in model.graph.node if name in node.input and node.op_type not in _ASKS]
        if len(readers) != 1:
            break
        (node,) = readers
        step = _step(node, name, constants)
        if step is None:
            break
        scale, shift = scale * step[0], shift * step[0] + step[1]
        name = node.output[0]
    return _told(scale, shift)


def _told(scale: _Floats, shift: _Floats) -> PixelRange:
    """Say what y = scale * x + shift tells of x."""
    factor = float(np.median(np.abs(scale)))
    if factor == 0 or not np.isfinite(factor):
        return ""
    mean = float(np.median(-shift / np.where(scale == 0, 1, scale)))
    if factor <= _SHRINKS or mean >= _SHIFTS:
        return "bytes"
    if _SPREADS[0] <= factor <= _SPREADS[1] and _MIDDLE[0] <= mean <= _MIDDLE[1]:
        return "unit"
    return ""


def _step(node: onnx.NodeProto, name: str, constants: Mapping[str, _Floats]) -> tuple[_Floats, _Floats] | None:
    """What the node does to pixels: a factor and what is added, one value or one a channel; None for anything else."""
    zero, one = np.zeros(1), np.ones(1)
    if node.op_type in _MOVES and node.input[0] == name:
        return one, zero
    if node.op_type == "BatchNormalization" and node.input[0] == name and all(n in constants for n in node.input[1:5]):
        weight, bias, mean, variance = (constants[n] for n in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        by = weight / np.sqrt(variance + epsilon)
        return by, bias - mean * by
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    other = node.input[1] if node.input[0] == name else node.input[0]
    first = node.input[0] == name
    if other not in constants or constants[other].size > 4:
        return None
    value = constants[other]
    if node.op_type == "Add":
        return one, value
    if node.op_type == "Mul":
        return value, zero
    if node.op_type == "Sub":
        return (one, -value) if first else (-one, value)
    return (1 / np.where(value == 0, np.nan, value), zero) if first else None


def small_constants(model: onnx.ModelProto) -> dict[str, _Floats]:
    """The small constants of a graph, flat."""
    found = {}
    tensors = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors += [(node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value"]
    for name, tensor in tensors:
        if int(np.prod(tensor.dims, dtype=np.int64)) <= 4 and tensor.data_location != onnx.TensorProto.EXTERNAL:
            found[name] = np.asarray(numpy_helper.to_array(tensor), np.float64).ravel()
    return found
