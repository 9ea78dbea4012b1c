"""Operators that no device runs are refused once constants are folded, before hours of calibrating."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from edge_export.graph import subgraphs
from edge_export.state import Draft, Progress
from edge_runtime.bundle.operators import check_operators
from edge_runtime.errors import ModelError

__all__ = ["refuse_operators"]


def refuse_operators(draft: Draft, _progress: Progress) -> Draft:
    """Return the draft as it is. Raises ModelError for a graph with an operator that bundles may not have."""
    own = {(function.domain, function.name) for function in draft.model.functions}
    bodies = (draft.model.graph.node, *(function.node for function in draft.model.functions))
    nodes = [node for body in bodies for node in _nodes(body)]
    found = {("" if node.domain == "ai.onnx" else node.domain, node.op_type) for node in nodes} - own
    try:
        check_operators((domain.encode(), name.encode()) for domain, name in found)
    except ValueError as error:
        raise ModelError(f"a device would refuse this model: {error}, here and there") from error
    return draft


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _nodes(graph.node)
