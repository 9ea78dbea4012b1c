"""Bring an old or careless file into the form that the later passes expect, without changing what it
computes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from edge_export.graph import default_opset, subgraphs
from edge_export.model.interface import UNKNOWN

__all__ = [
    "all_graphs",
    "drop_dead_nodes",
    "drop_overridable_inputs",
    "fill_sparse",
    "fix_imports",
    "fix_ir_version",
    "forget_question_marks",
    "name_nodes",
    "repair",
    "sort_nodes",
    "unwrap_outputs",
]

_LOWEST_IR = 8  # initializers need not be inputs (4), functions (8)
# What onnxruntime 1.18 (Jetson wheels) to today's all read; newer versions only add element types and device
# hints.
_WIDELY_READ_IR = 10
_NEWEST_TYPE_OF_IR_10 = TensorProto.INT4


def repair(model: onnx.ModelProto) -> list[str]:
    """Repair a model in place, before anything is run; returns what was done, in sentences."""
    del model.training_info[:]
    forget_question_marks(model)
    sort_nodes(model.graph)
    notes = fill_sparse(model)
    notes += drop_overridable_inputs(model)
    notes += fix_ir_version(model)
    notes += unwrap_outputs(model)
    fix_imports(model)
    name_nodes(model)  # onnxruntime refuses two nodes of one name, though the format allows them
    return notes


def forget_question_marks(model: onnx.ModelProto) -> None:
    """Dimensions that paddle2onnx calls "?" are not known; the name they share would make them one."""
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param == UNKNOWN:
                    dim.ClearField("dim_param")


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every graph inside its nodes' attributes, outer ones first."""
    yield graph
    for node in graph.node:
        for body in subgraphs(node):
            yield from all_graphs(body)


def fix_ir_version(model: onnx.ModelProto) -> list[str]:
    """Set an IR version that is new enough for what follows and no newer than the file needs."""
    before = model.ir_version
    types = {tensor.data_type for graph in all_graphs(model.graph) for tensor in graph.initializer}
    if before < _LOWEST_IR:
        model.ir_version = _LOWEST_IR
    elif before > _WIDELY_READ_IR and max(types, default=0) <= _NEWEST_TYPE_OF_IR_10 and default_opset(model) <= 22:
        model.ir_version = _WIDELY_READ_IR
    return [f"IR version {before} became {model.ir_version}"] if model.ir_version != before else []


def fix_imports(model: onnx.ModelProto) -> None:
    """One entry per operator set: merges `ai.onnx` with its other spelling, drops the unused."""
    version = default_opset(model)
    bodies = [list(graph.node) for graph in all_graphs(model.graph)] + [list(f.node) for f in model.functions]
    for node in (node for body in bodies for node in body):
        if node.domain == "ai.onnx":
            node.domain = ""
    used = {node.domain for graph in all_graphs(model.graph) for node in graph.node}
    used |= {node.domain for function in model.functions for node in function.node}
    others = {entry.domain: entry.version for entry in model.opset_import if entry.domain not in ("", "ai.onnx")}
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", version))
    for domain in sorted(others):
        if domain in used:
            model.opset_import.append(onnx.helper.make_opsetid(domain, others[domain]))


def fill_sparse(model: onnx.ModelProto) -> list[str]:
    """Turn sparse initializers into ordinary ones, which every pass knows; pruned weights are compressed later."""
    count = len(model.graph.sparse_initializer)
    for sparse in model.graph.sparse_initializer:
        values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        if places.ndim == 1:
            dense.reshape(-1)[places] = values
        else:
            dense[tuple(places.T)] = values
        model.graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del model.graph.sparse_initializer[:]
    return [f"{count} sparse weights were filled"] if count else []


def drop_overridable_inputs(model: onnx.ModelProto) -> list[str]:
    """Initializers that old files also list as inputs become constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    kept = [value for value in model.graph.input if value.name not in constants]
    dropped = len(model.graph.input) - len(kept)
    if dropped:
        del model.graph.input[:]
        model.graph.input.extend(kept)
    return [f"{dropped} weights that were listed as inputs are constants now"] if dropped else []


def sort_nodes(graph: onnx.GraphProto, outer: frozenset[str] = frozenset()) -> None:
    """Order nodes so that each comes after the nodes it reads from; a graph with a cycle is left as it is."""
    known = set(outer) | {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    made = {name for node in graph.node for name in node.output if name}
    waiting, ordered = list(graph.node), []
    ready = set(known)
    while waiting:
        later = []
        for node in waiting:
            if all(name in ready or name not in made for name in _reads(node)):
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            return
        waiting = later
    if any(first is not second for first, second in zip(ordered, graph.node, strict=True)):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del graph.node[:]
        graph.node.extend(nodes)


def _reads(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads, those its subgraphs take from outside included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for inner in [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs):
            own = {value.name for value in inner.input} | {tensor.name for tensor in inner.initializer}
            own |= {name for child in inner.node for name in child.output}
            read = set().union(*(_reads(child) for child in inner.node)) if inner.node else set()
            names |= (read | {value.name for value in inner.output}) - own
    return names


def unwrap_outputs(model: onnx.ModelProto) -> list[str]:
    """Replace what a bundle cannot hold: a ZipMap's list of maps by its scores, text beside scores by
    nothing.

    Classifiers made for Windows ML and scikit-learn end so. The scores' order is that of the map's keys.
    """
    notes: list[str] = []
    makers = {name: node for node in model.graph.node for name in node.output}
    for index, value in enumerate(model.graph.output):
        node = makers.get(value.name)
        if node is None or node.op_type != "ZipMap" or node.domain != "ai.onnx.ml":
            continue
        notes.append(f"output {value.name!r} holds the scores themselves instead of a map from label to score")
        scores = onnx.helper.make_node("Identity", list(node.input), [value.name], name=node.name)
        node.CopyFrom(scores)
        model.graph.output[index].type.CopyFrom(onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    kept = [value for value in model.graph.output if value.type.tensor_type.elem_type != TensorProto.STRING]
    if kept and len(kept) < len(model.graph.output):
        gone = [value.name for value in model.graph.output if value not in kept]
        notes.append(f"output {', '.join(map(repr, gone))} is text and was left out")
        copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
        del model.graph.output[:]
        model.graph.output.extend(copies)
    if notes:
        drop_dead_nodes(model.graph)
    return notes


def drop_dead_nodes(graph: onnx.GraphProto) -> None:
    """Remove the nodes of a sorted graph that no output depends on."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= _reads(node)
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(reversed(kept))


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node of every graph a name of its own; the first to have a name keeps it.

    A nameless node is called after its first output, or after its operator.
    """
    graphs = list(all_graphs(model.graph))
    taken: set[str] = set()
    unnamed: list[onnx.NodeProto] = []
    for graph in graphs:
        for node in graph.node:
            if node.name and node.name not in taken:
                taken.add(node.name)
            else:
                unnamed.append(node)
    for node in unnamed:
        stem = node.name or f"{node.op_type}_{next((name for name in node.output if name), 'x')}"
        name, count = stem, 1
        while name in taken:
            count += 1
            name = f"{stem}_{count}"
        node.name = name
        taken.add(name)
