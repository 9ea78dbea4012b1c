"""FP16 as storage: a Cast gives a weight's readers float32, which onnxruntime folds when it loads."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_export.quant.select import Compute
from edge_export.quant.writer import GraphWriter, replace_name

__all__ = ["fits_fp16", "write_fp16", "write_halves"]


def fits_fp16(values: NDArray[np.generic]) -> bool:
    """Tell whether float32 values survive FP16: none overflows, and the relative error stays that of rounding."""
    if values.dtype != np.float32 or not values.size:
        return False
    peak = float(np.abs(values).max())
    return bool(np.isfinite(peak) and 1e-3 < peak < 65504.0)


def write_fp16(writer: GraphWriter, item: Compute) -> None:
    """Store a node's weights as FP16, for all that read them."""
    writer.halves.add(item.weight)


def write_halves(writer: GraphWriter) -> None:
    """Write every initializer that is to be FP16, of nodes with weights and of others."""
    for name in sorted(writer.halves):
        half = writer.constant(f"{name}_h", np.asarray(writer.cache.arrays[name]).astype(np.float16))
        target = writer.fresh(f"{name}_c")
        writer.front.append(helper.make_node("Cast", [half], [target], to=onnx.TensorProto.FLOAT))
        for node in writer.model.graph.node:
            replace_name(node.input, name, target)
