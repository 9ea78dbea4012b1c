"""An ONNX graph in memory: an index over it, and weights that lie outside of it."""

from edge_export.graph.index import (
    Arrays,
    Graph,
    attribute,
    captured_names,
    copy_without_weights,
    default_opset,
    subgraphs,
)

__all__ = [
    "Arrays",
    "Graph",
    "attribute",
    "captured_names",
    "copy_without_weights",
    "default_opset",
    "subgraphs",
]
