"""int8: Q/DQ pairs round the activations, weights behind a DQ; and int8 weights of nodes that compute in floats."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edge_export.graph import Graph
from edge_export.quant.select import Compute
from edge_export.quant.weights import quantize_bias
from edge_export.quant.writer import GraphWriter, replace_name
from edge_export.state import QuantParams

__all__ = ["int8_able", "int8_weights_able", "write_activations", "write_int8", "write_int8_weights"]

# Bytes of the Cast, the Mul and the names that int8 weights need in a graph that computes in floats.
_STORED_OVERHEAD = 200


def int8_able(graph: Graph, item: Compute) -> bool:
    """Tell whether onnxruntime has an integer kernel for a node."""
    return item.refusal is None


def int8_weights_able(graph: Graph, item: Compute) -> bool:
    """Tell whether int8 weights with their scales and nodes are smaller than the same weights as FP16."""
    dims = graph.weights[item.weight].dims
    return item.refusal is None and math.prod(dims) > 4 * dims[item.axis] + _STORED_OVERHEAD


def write_activations(writer: GraphWriter, compute: Collection[str]) -> None:
    """Put Q -> DQ behind every planned tensor and lead the int8 readers (or all readers) to the DQ.

    `compute` are the nodes with weights that compute in integers.
    """
    int8_nodes = set(compute) | set(writer.plan.nodes)
    producers = dict(writer.graph.producer)
    for tensor in _ordered_tensors(writer):
        params = writer.params[writer.plan.scale_of[tensor]]
        producer = producers.get(tensor)
        source, target = tensor, tensor
        if tensor in writer.plan.made_in_int8 and producer is not None:
            source = writer.fresh(f"{tensor}_f")
            replace_name(producer.output, tensor, source)
        else:
            target = writer.fresh(f"{tensor}_d")
            for reader in writer.graph.readers.get(tensor, []):
                if reader.name in int8_nodes:
                    first_only = reader.name in compute or reader.op_type not in ("Add", "Mul", "Concat")
                    replace_name(reader.input, tensor, target, first_only=first_only)
        _pair(writer, producer, source, target, params)


def _ordered_tensors(writer: GraphWriter) -> list[str]:
    order = {name: i for i, name in enumerate(writer.graph.producer)}
    return sorted(writer.plan.tensors, key=lambda name: (order.get(name, -1), name))


def _pair(writer: GraphWriter, producer: onnx.NodeProto | None, source: str, target: str, params: QuantParams) -> None:
    scale = writer.constant(f"s{params.scale:.9g}", np.array(params.scale, np.float32))
    zero = writer.constant(f"z{params.zero_point}", np.array(params.zero_point, np.uint8))
    middle = writer.fresh(f"{target}_q")
    pair = [
        helper.make_node("QuantizeLinear", [source, scale, zero], [middle]),
        helper.make_node("DequantizeLinear", [middle, scale, zero], [target]),
    ]
    if producer is None:
        writer.front.extend(pair)
    else:
        writer.after.setdefault(producer.name, []).extend(pair)


def write_int8(writer: GraphWriter, item: Compute) -> None:
    """Replace a node's float weights and bias by int8/int32 initializers behind DQ nodes."""
    node = writer.nodes[item.name]
    input_scale = writer.input_scale(item)
    weight = writer.cache.quantized(item, input_scale)
    # Nodes that share their weights, or zero points, get one each: where int8 sums saturate, onnxruntime makes uint8 of
    # them for every node that reads them, under a name made of theirs, and does not load what two nodes read.
    node.input[1] = _front_dq(writer, item.weight, weight.values, weight.scale, weight.axis, zero=True)
    bias = writer.cache.bias(item)
    if bias is not None:
        scale = (np.float32(input_scale) * weight.scale).astype(np.float32)
        values = quantize_bias(bias, input_scale, weight.scale)
        name = _front_dq(writer, item.bias or f"{item.weight}_b", values, scale, 0)
        if item.bias:
            node.input[2] = name
        else:
            node.input.append(name)


def write_int8_weights(writer: GraphWriter, item: Compute) -> None:
    """Store a node's weights as int8 with a Cast and a Mul, which onnxruntime folds when it loads.

    DequantizeLinear would say the same, but onnxruntime leaves it in the graph, for each run to repeat.
    """
    weight = writer.cache.stored(item)
    key = ("int8-weights", id(weight))
    if key not in writer.made:
        shape = [1] * weight.values.ndim
        shape[weight.axis] = -1
        target = writer.fresh(f"{item.weight}_w")
        values = writer.int8(f"{target}q", weight.values)
        scale = writer.constant(f"{target}s", weight.scale.reshape(shape))
        cast = writer.fresh(f"{target}c")
        writer.front.append(helper.make_node("Cast", [values], [cast], to=onnx.TensorProto.FLOAT))
        writer.front.append(helper.make_node("Mul", [cast, scale], [target]))
        writer.made[key] = target
    writer.nodes[item.name].input[1] = writer.made[key]


def _front_dq(
    writer: GraphWriter,
    name: str,
    values: NDArray[np.generic],
    scale: NDArray[np.float32],
    axis: int,
    zero: bool = False,
) -> str:
    """Store a quantized constant with its scales and return the value that its DQ makes.

    `zero` asks for a zero point for each scale, as int8 weights have them. They are optional, but up to onnxruntime
    1.27 what a Gemm is fused into does not run without, and where int8 sums saturate (x86 without VNNI) no node does
    that is not fused: a Conv whose answer is rounded in the next block.
    """
    target = writer.fresh(f"{name}_d")
    inputs = [writer.int8(f"{target}q", values), writer.constant(f"{target}s", scale)]
    if zero:
        inputs.append(writer.constant(f"{target}z", np.zeros(scale.shape, np.int8)))
    writer.front.append(helper.make_node("DequantizeLinear", inputs, [target], axis=axis))
    return target
