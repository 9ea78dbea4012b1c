"""What can be exported at all: a whole model of tensors that plain onnxruntime loads."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from edge_export.cleanups.repair import all_graphs
from edge_export.graph import default_opset
from edge_export.probe import PROTO_LIMIT, ProbeError, open_session
from edge_export.run import OrtError
from edge_export.run import open_session as open_optimized
from edge_runtime.errors import ModelError

__all__ = ["check_loads", "check_optimizes", "check_tensors", "check_whole"]

_NUMPY_TYPES = {
    onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name))
    for name in (
        *("bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    )
}

_KNOWN_DOMAINS = {
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview.training",
    "com.microsoft",
} | {
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
}


def check_whole(model: onnx.ModelProto) -> None:
    """Raise ModelError for a file without a graph, or one that is too big."""
    if not model.graph.node:
        raise ModelError("the ONNX graph has no nodes: nothing to export; check that the file is a whole model")
    if model.ByteSize() > PROTO_LIMIT:
        raise ModelError(
            f"the model has {model.ByteSize() / 1e9:.1f} GB; at most 2 GB can be exported, use a smaller variant"
        )


def check_tensors(model: onnx.ModelProto) -> None:
    """Raise ModelError unless every input and output is a tensor that numpy can hold."""
    if not model.graph.output:
        raise ModelError("the ONNX graph has no outputs: nothing to export; check that the file is a whole model")
    for word, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            kind = value.type.WhichOneof("value")
            # an output may be declared without a type; onnxruntime then infers it
            if kind not in ("tensor_type", None) or (kind is None and word == "input"):
                found = "has no type" if kind is None else f"is of type {kind.removesuffix('_type').replace('_', ' ')}"
                raise ModelError(
                    f"{word} {value.name!r} {found}; only models with tensors as inputs and outputs export"
                )
            element = value.type.tensor_type.elem_type
            if kind and element not in _NUMPY_TYPES and (word == "input" or element != 0):
                name = TensorProto.DataType.Name(element) if element in TensorProto.DataType.values() else str(element)
                raise ModelError(
                    f"{word} {value.name!r} has element type {name}; a bundle holds numbers that numpy "
                    f"knows, export the model with float or integer tensors there"
                )


def check_loads(model: onnx.ModelProto) -> None:
    """Raise ModelError where plain onnxruntime cannot load the model."""
    try:
        open_session(model)
    except ProbeError as error:
        raise ModelError(
            f"plain onnxruntime {onnxruntime.__version__} cannot load the model: {_why(model, str(error))}; "
            f"export it again with standard ONNX operators, opset 13 to 22"
        ) from error


def check_optimizes(model: onnx.ModelProto) -> None:
    """A device runs the graph through onnxruntime's optimizer, which fails on some graphs that load without it."""
    try:
        open_optimized(model)
    except OrtError as error:
        raise ModelError(
            f"with its input shapes fixed, onnxruntime's own optimizer fails on the graph ({error}); "
            "export the model again with another opset or exporter"
        ) from error


def _why(model: onnx.ModelProto, reason: str) -> str:
    """onnxruntime's reason, in plainer words for the two common ones."""
    own = {(function.domain, function.name) for function in model.functions}
    for graph in all_graphs(model.graph):
        for node in graph.node:
            if node.domain not in _KNOWN_DOMAINS and (node.domain, node.op_type) not in own:
                return f"operator {node.op_type} of {node.domain!r} is a custom one"
    newest, version = onnx.defs.onnx_opset_version(), default_opset(model)
    if "under development" in reason and version > newest:
        return f"its opset {version} is newer than {newest}, the newest there is"
    return reason
