"""Promote FP16 graphs to FP32: int8 starts from float32 weights, and a CPU computes FP16 through casts anyway.

Storage as FP16 is then decided layer by layer like everywhere else. Inputs and outputs become float32 too.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edge_export.cleanups.repair import all_graphs
from edge_export.graph.outside import tensor_array
from edge_export.run import open_session
from edge_runtime.errors import ModelError

__all__ = ["promote_half"]

# Attributes that name an element type.
_TYPE_ATTRIBUTES = frozenset({"to", "dtype"})


def promote_half(original: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return the graph in FP32 with a note, or as it is when it holds no FP16 or onnxruntime refuses the result."""
    if not _holds_half(original):
        return original, ()
    model = onnx.ModelProto()
    model.CopyFrom(original)
    for graph in all_graphs(model.graph):
        _promote(graph)
    try:
        open_session(model, optimize=False)
    except ModelError as error:
        return original, (f"the graph stays FP16: {error}",)
    return model, ("arrived as FP16: computed as FP32, its inputs and outputs too",)


def _holds_half(model: onnx.ModelProto) -> bool:
    return any(
        weight.data_type == TensorProto.FLOAT16 for graph in all_graphs(model.graph) for weight in graph.initializer
    ) or any(value.type.tensor_type.elem_type == TensorProto.FLOAT16 for value in model.graph.input)


def _promote(graph: onnx.GraphProto) -> None:
    for weight in graph.initializer:
        _promote_tensor(weight)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _promote_tensor(attribute.t)
            elif attribute.name in _TYPE_ATTRIBUTES and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT


def _promote_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = tensor_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
