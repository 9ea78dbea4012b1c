"""Short names for inner values: exporters write a module's whole path into each, several times over.

A value becomes OP_INDEX after the node that makes it ("Conv_12"), a weight OP_INDEX_SLOT after the node that reads
it first ("Conv_12_1"). Names of nodes, inputs and outputs stay, and so does every name that is short already.
"""

from __future__ import annotations

from dataclasses import replace

import onnx

from edge_export.graph import Graph, subgraphs
from edge_export.state import Draft, Progress

__all__ = ["renamed", "shorten_names"]


def shorten_names(draft: Draft, progress: Progress) -> Draft:
    """Return the draft with the names of its graph shortened; the reference is the same graph."""
    model = renamed(draft.model)
    return replace(draft, model=model, reference=model)


def renamed(original: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model whose inner values and weights have new names where those are shorter."""
    model = onnx.ModelProto()
    model.CopyFrom(original)
    names = _short_names(model)
    for node in model.graph.node:
        _rename_node(node, names)
    for weight in model.graph.initializer:
        weight.name = names.get(weight.name, weight.name)
    # Inferred shapes inside the graph go by the old names; onnxruntime infers its own.
    del model.graph.value_info[:]
    del model.graph.quantization_annotation[:]
    return model


def _short_names(model: onnx.ModelProto) -> dict[str, str]:
    graph = Graph(model)
    fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
    taken = fixed | set(graph.weights) | set(graph.producer) | _inner_names(model.graph)
    names: dict[str, str] = {}
    for index, node in enumerate(model.graph.node):
        for slot, name in enumerate(node.input):
            if name in graph.weights:
                _propose(name, f"{node.op_type}_{index}_{slot}", names, fixed, taken)
        for slot, name in enumerate(node.output):
            _propose(name, f"{node.op_type}_{index}" + (f"_o{slot}" if slot else ""), names, fixed, taken)
    return names


def _propose(name: str, short: str, names: dict[str, str], fixed: set[str], taken: set[str]) -> None:
    if name and name not in fixed and name not in names and short not in taken and len(short) < len(name):
        names[name] = short


def _inner_names(graph: onnx.GraphProto) -> set[str]:
    """Return every name used inside the bodies of control-flow nodes: a new name must not be one of them."""
    found: set[str] = set()
    for node in graph.node:
        for body in subgraphs(node):
            found |= {name for inner in body.node for name in (*inner.input, *inner.output)}
            found |= {value.name for value in (*body.input, *body.output)}
            found |= {weight.name for weight in body.initializer} | _inner_names(body)
    return found


def _rename_node(node: onnx.NodeProto, names: dict[str, str]) -> None:
    for values in (node.input, node.output):
        for i, name in enumerate(values):
            if name in names:
                values[i] = names[name]
    for body in subgraphs(node):
        # A body's own names hide those of the graph round it.
        own = {value.name for value in body.input} | {weight.name for weight in body.initializer}
        own |= {output for inner in body.node for output in inner.output}
        outer = {name: short for name, short in names.items() if name not in own}
        for inner in body.node:
            _rename_node(inner, outer)
        for value in body.output:
            value.name = outer.get(value.name, value.name)
