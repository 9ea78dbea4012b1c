"""Write a plan into the graph: Q/DQ pairs round the int8 tensors, int8 weights, FP16 weights behind a Cast."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_export.graph import Graph
from edge_export.quant.int4 import Int4Weight, import_microsoft, int4_nodes, int4_weight
from edge_export.quant.select import Compute, TensorPlan
from edge_export.quant.sparse import sparse_nodes, worth_it
from edge_export.quant.weights import quantize_bias, quantize_weight
from edge_export.state import QuantizedWeight, QuantParams

__all__ = ["WANT_ZERO_POINT", "WeightCache", "fits_fp16", "to_qdq"]


@dataclass
class WeightCache:
    """Float weights by name, and their int8 forms once made: a search over precisions asks for them often.

    `rounded` and `shifts` are a draft's: by node name, weights that were not rounded to nearest, and what is added to
    the bias of a node that computes in int8.
    """

    arrays: Mapping[str, NDArray[np.generic]]
    rounded: Mapping[str, QuantizedWeight] = field(default_factory=dict)
    shifts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    _done: dict[tuple[str, int, str | None, float], QuantizedWeight] = field(default_factory=dict)
    _int4: dict[str, Int4Weight] = field(default_factory=dict)

    def quantized(self, item: Compute, input_scale: float) -> QuantizedWeight:
        """Return the int8 form of the weights of a node that computes in int8."""
        if item.name in self.rounded:
            return self.rounded[item.name]
        bias = self.bias(item)
        return self._nearest(item, bias, input_scale) if bias is not None else self.stored(item)

    def stored(self, item: Compute) -> QuantizedWeight:
        """Return the int8 form of the weights of a node that computes in floats."""
        return self.rounded[item.name] if item.name in self.rounded else self._nearest(item, None, 0.0)

    def int4(self, item: Compute) -> Int4Weight:
        """Return the int4 form of the weights of a MatMul or Gemm."""
        if item.name not in self._int4:
            self._int4[item.name] = int4_weight(item, np.asarray(self.arrays[item.weight], np.float32))
        return self._int4[item.name]

    def bias(self, item: Compute) -> NDArray[np.float32] | None:
        """Return the bias of a node that computes in int8, float32 [channels], None where there is none."""
        bias = np.asarray(self.arrays[item.bias], np.float32) if item.bias else None
        shift = self.shifts.get(item.name)
        if shift is None:
            return bias
        return shift if bias is None else np.asarray(bias + shift.reshape(bias.shape), np.float32)

    def _nearest(self, item: Compute, bias: NDArray[np.float32] | None, input_scale: float) -> QuantizedWeight:
        key = (item.weight, item.axis, item.bias if bias is not None else None, input_scale)
        if key not in self._done:
            weight = np.asarray(self.arrays[item.weight], np.float32)
            self._done[key] = quantize_weight(weight, item.axis, bias, input_scale or 1.0)
        return self._done[key]


# Up to onnxruntime 1.27, what these are fused into refuses scales for each column without a zero point for each.
WANT_ZERO_POINT = frozenset({"Gemm", "MatMul"})


def fits_fp16(values: NDArray[np.generic]) -> bool:
    """Tell whether float32 values survive FP16: none overflows, and the relative error stays that of rounding."""
    if values.dtype != np.float32 or not values.size:
        return False
    peak = float(np.abs(values).max())
    return bool(np.isfinite(peak) and 1e-3 < peak < 65504.0)


def to_qdq(
    model: onnx.ModelProto,
    plan: TensorPlan,
    params: Mapping[str, QuantParams],
    int8: list[Compute],
    fp16: Collection[str],
    cache: WeightCache,
    stored: Collection[Compute] = (),
    int4: Collection[Compute] = (),
    pack: bool = False,
) -> onnx.ModelProto:
    """Return a copy of `model` in which `int8` nodes compute in int8, `stored` and `int4` nodes keep int8 and int4
    weights but compute in floats, and the weights `fp16` are stored as FP16. `pack` compresses int8 weights that are
    mostly zero.

    `params` holds the parameters of every tensor that `plan.scale_of` names. The model's own weights may lie in
    an external file: values are taken from `cache`.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    writer = _Writer(result, plan, params, cache, pack)
    writer.activations([item.name for item in int8])
    for item in int8:
        writer.weight(item)
    for item in stored:
        writer.store(item)
    for item in int4:
        writer.store_int4(item)
    for name in sorted(fp16):
        writer.half(name)
    writer.finish()
    return result


class _Writer:
    """Edits one model in place; nodes to insert are kept with the place where they belong."""

    def __init__(
        self,
        model: onnx.ModelProto,
        plan: TensorPlan,
        params: Mapping[str, QuantParams],
        cache: WeightCache,
        pack: bool,
    ) -> None:
        self.model, self.plan, self.params, self.cache, self.pack = model, plan, params, cache, pack
        self.graph = Graph(model)
        self.nodes = {node.name: node for node in model.graph.node}
        self.after: dict[str, list[onnx.NodeProto]] = {}  # producer's node name -> nodes that follow it
        self.front: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.made: dict[int, str] = {}  # quantized weights by identity -> the value their DQ makes
        self.made_float: dict[int, str] = {}  # the same, where a Cast and a Mul make it
        self.instead: dict[str, list[onnx.NodeProto]] = {}  # by node name: what takes its place
        self.taken = {name for node in model.graph.node for name in (*node.input, *node.output)}

    def activations(self, compute: list[str]) -> None:
        """Put Q -> DQ behind every planned tensor and lead the int8 readers (or all readers) to the DQ."""
        int8_nodes = set(compute) | set(self.plan.nodes)
        producers = dict(self.graph.producer)
        for tensor in self._ordered_tensors():
            params = self.params[self.plan.scale_of[tensor]]
            producer = producers.get(tensor)
            source, target = tensor, tensor
            if tensor in self.plan.made_in_int8 and producer is not None:
                source = self._fresh(f"{tensor}_f")
                _replace(producer.output, tensor, source)
            else:
                target = self._fresh(f"{tensor}_d")
                for reader in self.graph.readers.get(tensor, []):
                    if reader.name in int8_nodes:
                        first_only = reader.name in compute or reader.op_type not in ("Add", "Mul", "Concat")
                        _replace(reader.input, tensor, target, first_only=first_only)
            self._pair(producer, source, target, params)

    def _ordered_tensors(self) -> list[str]:
        order = {name: i for i, name in enumerate(self.graph.producer)}
        return sorted(self.plan.tensors, key=lambda name: (order.get(name, -1), name))

    def _pair(self, producer: onnx.NodeProto | None, source: str, target: str, params: QuantParams) -> None:
        scale = self._constant(f"s{params.scale:.9g}", np.array(params.scale, np.float32))
        zero = self._constant(f"z{params.zero_point}", np.array(params.zero_point, np.uint8))
        middle = self._fresh(f"{target}_q")
        pair = [
            helper.make_node("QuantizeLinear", [source, scale, zero], [middle]),
            helper.make_node("DequantizeLinear", [middle, scale, zero], [target]),
        ]
        if producer is None:
            self.front.extend(pair)
        else:
            self.after.setdefault(producer.name, []).extend(pair)

    def weight(self, item: Compute) -> None:
        """Replace a node's float weights and bias by int8/int32 initializers behind DQ nodes."""
        node = self.nodes[item.name]
        input_scale = self.params[self.plan.scale_of[item.node.input[0]]].scale
        weight = self.cache.quantized(item, input_scale)
        if id(weight) not in self.made:  # two nodes may share their weights
            zero = node.op_type in WANT_ZERO_POINT
            self.made[id(weight)] = self._front_dq(item.weight, weight.values, weight.scale, weight.axis, zero)
        node.input[1] = self.made[id(weight)]
        bias = self.cache.bias(item)
        if bias is not None:
            scale = (np.float32(input_scale) * weight.scale).astype(np.float32)
            name = self._front_dq(
                item.bias or f"{item.weight}_b", quantize_bias(bias, input_scale, weight.scale), scale, 0
            )
            if item.bias:
                node.input[2] = name
            else:
                node.input.append(name)

    def store(self, item: Compute) -> None:
        """Store a node's weights as int8 with a Cast and a Mul, which onnxruntime folds when it loads.

        DequantizeLinear would say the same, but onnxruntime leaves it in the graph, for each run to repeat.
        """
        weight = self.cache.stored(item)
        if id(weight) not in self.made_float:
            shape = [1] * weight.values.ndim
            shape[weight.axis] = -1
            target = self._fresh(f"{item.weight}_w")
            values = self._int8(f"{target}q", weight.values)
            scale = self._constant(f"{target}s", weight.scale.reshape(shape))
            cast = self._fresh(f"{target}c")
            self.front.append(helper.make_node("Cast", [values], [cast], to=onnx.TensorProto.FLOAT))
            self.front.append(helper.make_node("Mul", [cast, scale], [target]))
            self.made_float[id(weight)] = target
        self.nodes[item.name].input[1] = self.made_float[id(weight)]

    def store_int4(self, item: Compute) -> None:
        """Put a MatMulNBits, which computes in floats from int4 weights, in the place of a MatMul or Gemm."""
        nodes, constants = int4_nodes(self.nodes[item.name], self._fresh(f"{item.weight}_4"), self.cache.int4(item))
        self.instead[item.name] = nodes
        self.constants |= {constant.name: constant for constant in constants}
        import_microsoft(self.model)

    def half(self, name: str) -> None:
        """Store a weight as FP16; a Cast gives its readers float32 (onnxruntime folds it when it loads)."""
        half = self._constant(f"{name}_h", np.asarray(self.cache.arrays[name]).astype(np.float16))
        target = self._fresh(f"{name}_c")
        self.taken.add(target)
        self.front.append(helper.make_node("Cast", [half], [target], to=onnx.TensorProto.FLOAT))
        for node in self.model.graph.node:
            _replace(node.input, name, target)

    def finish(self) -> None:
        """Put the new nodes in topological order, drop weights that nobody reads, add the new ones."""
        graph = self.model.graph
        ordered = list(self.front)
        for node in graph.node:
            ordered.extend(self.instead.get(node.name, [node]))
            ordered.extend(self.after.get(node.name, []))
        _assign(graph.node, ordered)
        read = {name for node in graph.node for name in Graph.reads(node)} | {value.name for value in graph.output}
        kept = [weight for weight in graph.initializer if weight.name in read]
        _assign(graph.initializer, kept + [self.constants[name] for name in sorted(self.constants)])

    def _front_dq(
        self, name: str, values: NDArray[np.generic], scale: NDArray[np.float32], axis: int, zero: bool = False
    ) -> str:
        """Store a quantized constant with its scales and return the value that its DQ makes.

        There is a zero point only where `zero` asks for one: it is optional, and zero for int8 weights.
        """
        target = self._fresh(f"{name}_d")
        inputs = [self._int8(f"{target}q", values), self._constant(f"{target}s", scale)]
        if zero:  # one tensor for all weights with so many scales
            size = "x".join(map(str, scale.shape)) or "1"
            inputs.append(self._constant(f"zeros_i8_{size}", np.zeros(scale.shape, np.int8)))
        self.front.append(helper.make_node("DequantizeLinear", inputs, [target], axis=axis))
        return target

    def _int8(self, name: str, values: NDArray[np.generic]) -> str:
        """Store integers, compressed where that is asked for and pays, and return the value that holds them."""
        if not self.pack or values.dtype != np.int8 or not worth_it(values):
            return self._constant(name, values)
        nodes, constants, dense = sparse_nodes(self._fresh(f"{name}p"), values)
        self.front.extend(nodes)
        self.constants |= {constant.name: constant for constant in constants}
        return dense

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def _fresh(self, name: str) -> str:
        while name in self.taken or name in self.graph.weights:
            name += "_"
        self.taken.add(name)
        return name


def _replace(names: object, old: str, new: str, first_only: bool = False) -> None:
    for i, name in enumerate(names):  # type: ignore[arg-type,var-annotated]
        if name == old:
            names[i] = new  # type: ignore[index]
            if first_only:
                return


def _assign(field_: object, items: list[object]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in items]  # type: ignore[attr-defined]
    del field_[:]  # type: ignore[attr-defined]
    field_.extend(copies)  # type: ignore[attr-defined]
