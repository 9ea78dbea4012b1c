"""What onnx's checker says of a graph that onnxruntime is known to accept; it does not decide."""

from __future__ import annotations

import onnx
import onnx.checker

from edge_export.cleanups.opset import STANDARD_OPERATORS
from edge_export.cleanups.proof import Proof
from edge_export.cleanups.repair import all_graphs
from edge_export.graph.outside import loadable
from edge_export.run import one_line

__all__ = ["ask_checker"]


def ask_checker(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Return the very same graph, with a note where the checker objects."""
    notes = []
    custom = sorted({e.domain for e in model.opset_import if e.domain and not e.domain.startswith("ai.onnx")})
    nodes = (node for graph in all_graphs(model.graph) for node in graph.node)
    old = sorted({node.op_type for node in nodes if not node.domain and node.op_type not in STANDARD_OPERATORS})
    if old:
        return model, [f"onnx's checker does not know the experimental operators {', '.join(old)}"]
    if custom:
        notes.append(f"onnx's checker does not know the operators of {', '.join(custom)}")
    try:
        with loadable(model) as payload:
            onnx.checker.check_model(payload)
    except Exception as error:  # noqa: BLE001 - ValidationError and bindings' types
        notes.append(f"onnx's checker objects, onnxruntime does not: {one_line(error, 160)}")
    return model, notes
