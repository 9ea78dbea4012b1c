"""Say the shape of each output."""

from __future__ import annotations

import numpy as np
import onnx

from edge_export.cleanups.proof import Proof
from edge_export.cleanups.shapes import BATCH, declared_shape, set_shape
from edge_runtime.errors import ModelError

__all__ = ["declare_outputs"]


def declare_outputs(original: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Declare a number where it was inferred or declared, "batch" where it was proved, else a name.

    A number is never taken from the test run alone: the count of boxes after NMS would be wrong on the next
    image. Raises ModelError for an output that is no tensor of numbers.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original)
    for index, value in enumerate(model.graph.output):
        inferred, written = declared_shape(value), proof.declared.get(value.name)
        ran: tuple[int, ...] | None = None
        if proof.probe is not None:
            array = proof.probe.expected[0][index]
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                raise ModelError(f"output {value.name!r} is no tensor of numbers; only such outputs export")
            ran = array.shape
            value.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        known = next((shape for shape in (ran, inferred, written) if shape is not None), None)
        if known is None:
            continue
        rank = len(known)
        dims: list[int | str] = []
        for axis in range(rank):
            options = [s[axis] for s in (inferred, written) if s is not None and len(s) == rank]
            number = next((d for d in options if isinstance(d, int) and (ran is None or d == ran[axis])), None)
            dims.append(BATCH if proof.shapes.free and axis == 0 else number or f"{value.name}_{axis}")
        set_shape(value, dims)
    return model, []
