"""Calls of the file's own functions become their bodies, so that later passes see the operators."""

from __future__ import annotations

import onnx
import onnx.inliner

from edge_export.cleanups.proof import Proof
from edge_export.run import one_line

__all__ = ["inline_functions"]


def inline_functions(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Return the graph without functions, or as it was with a note where that cannot be proved the same."""
    if proof.probe is None or not model.functions:
        return model, []
    try:
        result = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # noqa: BLE001 - onnx raises bindings' own exception types
        return model, [f"functions were left as they are: {one_line(error, 160)}"]
    if problem := proof.probe.compare(result):
        return model, [f"functions were left as they are: {problem}"]
    return result, [f"{len(model.functions)} functions were inlined"]
