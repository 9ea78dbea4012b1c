"""A model's precision in a word or two, for the tables."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

from edge_runtime.bundle.manifest import ModelInfo
from edge_runtime.errors import ModelError

__all__ = ["bundle_precision", "onnx_precision"]

_INTEGER_OPS = frozenset({"DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})


def bundle_precision(model: ModelInfo) -> str:
    """Return "int8" for a bundle of that alone, "int8 mix" where some layers have another precision."""
    kinds = [part.split()[0] for part in model.precision.split(",") if part.split()]
    return kinds[0] + " mix" * (len(kinds) > 1) if kinds else ""


def onnx_precision(path: Path) -> str:
    """Return what an ONNX file mostly is: "int8", "fp16", "fp32"; "" where the package onnx is not installed, or for
    another type. Raises ModelError for a file that is no ONNX model.
    """
    if importlib.util.find_spec("onnx") is None:  # a device: the runtime does without
        return ""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except DecodeError as error:
        raise ModelError(
            f"{path}: expected an ONNX model, found another file; give the path of an .onnx file"
        ) from error
    if any(node.op_type in _INTEGER_OPS for node in graph.node):
        return "int8"
    elements: Counter[int] = Counter()
    for tensor in graph.initializer:
        count = 1
        for size in tensor.dims:
            count *= size
        elements[tensor.data_type] += count
    names = {onnx.TensorProto.FLOAT16: "fp16", onnx.TensorProto.FLOAT: "fp32"}
    return names.get(elements.most_common(1)[0][0], "") if elements else ""
