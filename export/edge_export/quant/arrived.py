"""Models that were quantized elsewhere (QDQ, QOperator, quantization-aware training): recognised, and left alone."""

from __future__ import annotations

import onnx

from edge_export.graph import Graph
from edge_export.quant.select import COMPUTE_OPS
from edge_runtime.bundle.manifest import NodePrecision

__all__ = ["arrived_quantized"]

_INTEGER_OPS = frozenset({"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger"})


def arrived_quantized(model: onnx.ModelProto) -> tuple[NodePrecision, ...]:
    """List the compute nodes of a model that holds int8 ones already; () for a float model."""
    graph = Graph(model)
    nodes = []
    for node in model.graph.node:
        weight = graph.producer.get(node.input[1]) if len(node.input) > 1 else None
        by_qdq = node.op_type in COMPUTE_OPS and weight is not None and weight.op_type == "DequantizeLinear"
        if by_qdq or node.op_type in _INTEGER_OPS:
            nodes.append(NodePrecision(node.name, node.op_type, "int8", "arrived quantized: its scales are kept"))
        elif node.op_type in COMPUTE_OPS:
            nodes.append(NodePrecision(node.name, node.op_type, "fp32", "arrived float in a quantized model"))
    return tuple(nodes) if any(node.precision == "int8" for node in nodes) else ()
