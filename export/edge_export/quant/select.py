"""Which nodes can compute in int8, and which tensors must then be quantized so that onnxruntime fuses them.

onnxruntime turns DQ -> op -> Q into an integer kernel only where the whole group is there. So int8 is decided
for *compute* nodes (with weights), and then spreads over the cheap nodes between them (adds, pools, concats):
a cheap node becomes int8 when everything it reads is int8 already and something after it wants int8.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import onnx

from edge_export.graph import Graph, attribute, captured_names

__all__ = ["COMPUTE_OPS", "Compute", "TensorPlan", "absorbed_output", "compute_nodes", "plan_tensors"]

COMPUTE_OPS = ("Conv", "Gemm", "MatMul")
# Reads and writes the same numbers: the output keeps the input's scale and the node runs on the bytes as they are.
_MOVERS = frozenset({"MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Resize"})
_ARITHMETIC = frozenset({"Add", "Mul", "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Concat"})
_ALL_INPUTS = frozenset({"Add", "Mul", "Concat"})  # others compute with their first input only
_CLAMPS = frozenset({"Relu", "Clip"})
_CAPTURED = "its output is read inside an If, Loop or Scan, where onnxruntime takes no quantized value"


@dataclass(frozen=True)
class Compute:
    """A node with weights: where they are, along which axis its output channels lie, and why it can't be int8."""

    name: str
    op: str
    node: onnx.NodeProto
    weight: str
    axis: int
    bias: str | None
    refusal: str | None


@dataclass(frozen=True)
class TensorPlan:
    """What `plan_tensors` decided: tensors that get a Q/DQ pair, and whose scale each of them uses.

    `made_in_int8` are the tensors whose producer is fused into an integer kernel (all readers see the DQ);
    for the others only int8 readers do. `scale_of[t]` is the tensor whose calibrated range gives t's scale.
    `nodes` are the names of the cheap nodes that became int8.
    """

    tensors: frozenset[str]
    made_in_int8: frozenset[str]
    scale_of: dict[str, str]
    nodes: frozenset[str]


def compute_nodes(graph: Graph) -> list[Compute]:
    """List every node of COMPUTE_OPS with constant float weights, in graph order."""
    found = []
    captured = _reach_bodies(graph)
    for node in graph.model.graph.node:
        if node.domain in ("", "ai.onnx") and node.op_type in COMPUTE_OPS and len(node.input) >= 2:
            weight = graph.weights.get(node.input[1])
            if weight is not None and weight.data_type == onnx.TensorProto.FLOAT and node.input[0] not in graph.weights:
                item = _compute(graph, node, weight)
                if item.op == "Conv" and absorbed_output(graph, node) in captured:
                    item = replace(item, refusal=item.refusal or _CAPTURED)
                found.append(item)
    return found


def _reach_bodies(graph: Graph) -> set[str]:
    """Return the values that the bodies of If, Loop and Scan read, at once or behind movers.

    None of them may come from a DequantizeLinear: onnxruntime moves it on behind movers (QDQPropagation) and looks for
    a body's capture among the node's own inputs, which ends the process.
    """
    found: set[str] = set()
    for node in graph.model.graph.node:
        found |= captured_names(node)
    for node in reversed(graph.model.graph.node):
        if node.op_type in _MOVERS and not found.isdisjoint(node.output):
            found.add(node.input[0])
    return found


def _compute(graph: Graph, node: onnx.NodeProto, weight: onnx.TensorProto) -> Compute:
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
    axis, refusal = 0, None
    if node.op_type == "Gemm":
        axis = 0 if attribute(node, "transB", 0) else 1
        if attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1.0 or attribute(node, "beta", 1.0) != 1.0:
            refusal = "Gemm with transA, alpha or beta has no integer kernel"
    elif node.op_type == "MatMul":
        axis = 1
        if len(weight.dims) != 2:
            refusal = f"MatMul with weights of rank {len(weight.dims)} has no per-channel integer kernel"
    elif len(weight.dims) not in (3, 4):
        refusal = f"Conv with {len(weight.dims) - 2} spatial dimensions has no tested integer kernel"
    if bias is not None and bias not in graph.weights:
        refusal = "its bias is computed at run time"
    elif bias is not None and int(_size(graph.weights[bias])) != weight.dims[axis]:
        refusal = "its bias is not one value per output channel"
    return Compute(node.name, node.op_type, node, node.input[1], axis, bias, refusal)


def _size(weight: onnx.TensorProto) -> int:
    size = 1
    for dim in weight.dims:
        size *= dim
    return size


def absorbed_output(graph: Graph, node: onnx.NodeProto) -> str:
    """Return the tensor to quantize behind a node: its output, or that of the Relu/Clip that alone reads it."""
    reader = graph.only_reader(node.output[0])
    if reader is not None and reader.op_type in _CLAMPS and reader.input[0] == node.output[0]:
        constant = all(name in graph.weights for name in reader.input[1:] if name)
        if constant and reader.domain in ("", "ai.onnx"):
            return str(reader.output[0])
    return str(node.output[0])


def plan_tensors(
    graph: Graph, int8: Collection[str], candidates: list[Compute], barred: Collection[str] = ()
) -> TensorPlan:
    """Decide the tensors to quantize when the compute nodes named in `int8` are int8; the cheap nodes `barred` stay
    float whatever lies round them.
    """
    chosen = [item for item in candidates if item.name in int8]
    wanted = {item.node.input[0] for item in chosen}
    # Only a Conv needs its output quantized to be fused; MatMul and Gemm can leave float.
    made = {absorbed_output(graph, item.node) for item in chosen if item.op == "Conv"}
    captured = _reach_bodies(graph)
    cheap = {
        id(node): node
        for node in graph.model.graph.node
        if node.name not in barred and _can_pass(graph, node) and absorbed_output(graph, node) not in captured
    }
    while True:
        outputs = {id(node): absorbed_output(graph, node) for node in cheap.values()}
        available = made | wanted | set(outputs.values())
        read_by_cheap = {name for node in cheap.values() for name in _operands(node)}
        keep = {
            key: node
            for key, node in cheap.items()
            if all(name in available for name in _operands(node))
            and (outputs[key] in wanted or outputs[key] in read_by_cheap - _loops(node, outputs[key]))
        }
        if len(keep) == len(cheap):
            break
        cheap = keep
    scale_of = {name: name for name in made | wanted}
    for node in graph.model.graph.node:  # in graph order, so that chains of movers find their root
        if id(node) in cheap:
            output = outputs[id(node)]
            is_mover = node.op_type in _MOVERS and output == node.output[0]
            scale_of[output] = scale_of[node.input[0]] if is_mover else output
    made_in_int8 = made | {outputs[key] for key in cheap}
    return TensorPlan(
        tensors=frozenset(scale_of),
        made_in_int8=frozenset(made_in_int8),
        scale_of=scale_of,
        nodes=frozenset(node.name for node in cheap.values()),
    )


def _operands(node: onnx.NodeProto) -> list[str]:
    return list(node.input) if node.op_type in _ALL_INPUTS else [node.input[0]]


def _loops(node: onnx.NodeProto, output: str) -> set[str]:
    return {output} if output in _operands(node) else set()


def _can_pass(graph: Graph, node: onnx.NodeProto) -> bool:
    """Tell whether onnxruntime has an integer form of this cheap node that can be fused."""
    if node.domain not in ("", "ai.onnx") or not node.output or len([name for name in node.output if name]) != 1:
        return False
    if node.op_type == "Resize":
        return attribute(node, "mode", b"nearest") in (b"nearest", b"linear")
    if node.op_type == "AveragePool" and attribute(node, "ceil_mode", 0):
        return False
    if node.op_type in _ALL_INPUTS:
        return all(name and name not in graph.weights for name in node.input)
    return node.op_type in _MOVERS or node.op_type in _ARITHMETIC
