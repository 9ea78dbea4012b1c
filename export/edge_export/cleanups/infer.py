"""Every node gets a name, and the shapes inside the graph are written as far as onnx can infer them."""

from __future__ import annotations

import onnx
import onnx.shape_inference

from edge_export.cleanups.proof import Proof
from edge_export.cleanups.repair import name_nodes
from edge_export.run import one_line

__all__ = ["infer_shapes"]


def infer_shapes(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Return a named copy with inner shapes, or without them and with a note where they are not to be had."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    name_nodes(named)
    named.graph.name = named.graph.name or "graph"
    try:
        inferred = onnx.shape_inference.infer_shapes(named, data_prop=True)
    except Exception as error:  # noqa: BLE001 - onnx's InferenceError and its bindings' types
        return named, [f"shapes inside the graph are not known: {one_line(error, 160)}"]
    if proof.probe is not None and (problem := proof.probe.compare(inferred)):
        return named, [f"shapes inside the graph are not known: {problem}"]
    return inferred, []
