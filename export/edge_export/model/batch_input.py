"""Models of one picture [3, H, W] without a batch dimension, as torchvision's detectors are exported."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["give_batch"]

_CHANNELS = 3
_LEAST = 16  # pixels of a side: smaller ones are no picture's
_AXES_AS_INPUT = 13  # the opset from which Squeeze takes its axes as an input


def give_batch(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return the model with its only input [3, H, W] as [1, 3, H, W], and a note; the model itself if it has others."""
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        return model, ()
    dims = inputs[0].type.tensor_type.shape.dim
    sides = [dim.dim_value for dim in dims[1:]]
    if len(dims) != 3 or dims[0].dim_value != _CHANNELS or any(0 < side < _LEAST for side in sides):
        return model, ()
    name, inner = inputs[0].name, f"{inputs[0].name}_without_batch"
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        node.input[:] = [inner if used == name else used for used in node.input]
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if opset >= _AXES_AS_INPUT:
        changed.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), f"{inner}_axes"))
        squeeze = helper.make_node("Squeeze", [name, f"{inner}_axes"], [inner], name=inner)
    else:
        squeeze = helper.make_node("Squeeze", [name], [inner], name=inner, axes=[0])
    changed.graph.node.insert(0, squeeze)
    value = next(value for value in changed.graph.input if value.name == name)
    batch = onnx.TensorShapeProto.Dimension(dim_value=1)
    shape = [batch, *(onnx.TensorShapeProto.Dimension.FromString(dim.SerializeToString()) for dim in dims)]
    del value.type.tensor_type.shape.dim[:]
    value.type.tensor_type.shape.dim.extend(shape)
    return changed, (f"the input {name!r} of one picture got a batch dimension of 1",)
