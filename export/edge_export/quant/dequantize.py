"""The dequantized form of a model that arrived quantized: the same weights, computed in floats, no activation rounded.

QDQ: a QuantizeLinear of an activation and its DequantizeLinear become nothing. QOperator: an integer operator becomes
its float form, its weights and bias dequantized. Operators that only move numbers (MaxPool, Reshape, Concat, ...) move
floats. What is still different from the model is then what the activations' scales did.

A Relu can hide in a quantizer: where the zero point is the least value of its type, nothing below 0 can be said, and
converters leave the Relu out. It cannot be told from a range that was measured wrongly, so the clamp at 0 stays; and
that at 6, where the range ends there within 2 % (Relu6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge_export.graph import Graph, attribute, captured_names, default_opset, subgraphs
from edge_export.quant.dequantize_parts import SPANS, Code, DequantizeParts, NotDequantizableError, Quantizer, named

__all__ = ["Dequantized", "Quantizer", "dequantize"]

# Operators that move codes without computing with them, and which of their inputs are data.
_MOVERS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split"), (0,)),
    **dict.fromkeys(("Resize", "Gather", "Expand", "Tile", "Identity", "DepthToSpace", "SpaceToDepth"), (0,)),
    "Pad": (0, 2),
    "Where": (1, 2),
    "Clip": (0, 1, 2),
}
_MOVERS_OF_ALL = ("Concat", "Max", "Min")
_UNARY = {
    "QLinearSigmoid": ("Sigmoid", ()),
    "QLinearLeakyRelu": ("LeakyRelu", ("alpha",)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", ()),
    "QLinearAveragePool": (
        "AveragePool",
        ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"),
    ),
}
_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


@dataclass(frozen=True)
class Dequantized:
    """`model` answers in floats under the same names; `coded` are the outputs that the quantized model gives as
    integers, with the scale and zero point to read them by.
    """

    model: onnx.ModelProto
    quantizers: tuple[Quantizer, ...]
    coded: dict[str, tuple[float, int]]


def dequantize(model: onnx.ModelProto) -> tuple[Dequantized | None, str]:
    """Return the dequantized form of a quantized model, or None and the reason why there is none."""
    writer = _Writer(model)
    try:
        return writer.dequantized(), ""
    except NotDequantizableError as error:
        return None, str(error)


class _Writer(DequantizeParts):
    """Goes through a model once, in order, and writes the dequantized model's nodes."""

    def dequantized(self) -> Dequantized:
        for node in self.source.graph.node:
            self._add(node)
        result = onnx.ModelProto()
        result.CopyFrom(self.source)
        for repeated in (result.graph.node, result.graph.initializer, result.graph.value_info, result.graph.output):
            del repeated[:]
        coded = {}
        for value in self.source.graph.output:
            if value.name in self.sums:
                raise NotDequantizableError(f"output {value.name!r} is a sum of integers")
            if value.name in self.codes:
                code = self.codes[value.name]
                coded[value.name] = self.parameters(code.scale, code.zero)
                self.emit("Identity", [code.real], value.name)
                value = helper.make_tensor_value_info(value.name, TensorProto.FLOAT, None)
            result.graph.output.append(value)
        result.graph.node.extend(self.nodes)
        read = {name for node in self.nodes for name in Graph.reads(node)} | set(self.graph.outputs)
        result.graph.initializer.extend(tensor for name, tensor in self.constants.items() if name in read)
        return Dequantized(result, tuple(self.quantizers), coded)

    def _add(self, node: onnx.NodeProto) -> None:
        if any(_quantizes(inner) for inner in subgraphs(node)) or not captured_names(node).isdisjoint(self.codes):
            raise NotDequantizableError(f"{named(node)} holds quantized values in its body")
        if (node.input or node.op_type == "Constant") and self.fixed.issuperset(Graph.reads(node)):
            self.nodes.append(self.zeroed(node) if node.op_type == "DequantizeLinear" else node)
            self.fixed.update(node.output)
            return
        special = self._special(node)
        if special is not None:
            special(node)
        elif any(name in self.codes for name in node.input):
            self._with_codes(node)
        elif any(name in self.sums for name in node.input):
            self._with_sums(node)
        elif node.op_type.startswith("QLinear"):
            raise NotDequantizableError(f"{named(node)} has no known float form")
        else:
            self.nodes.append(node)

    def _special(self, node: onnx.NodeProto) -> Callable[[onnx.NodeProto], None] | None:
        if node.op_type in _UNARY:
            return self._unary
        return {
            "QuantizeLinear": self._quantize,
            "DequantizeLinear": self._dequantize,
            "DynamicQuantizeLinear": self._dynamic,
            "QLinearConv": self._conv,
            "QLinearMatMul": self._matmul,
            "QGemm": self._gemm,
            "QLinearAdd": self._binary,
            "QLinearMul": self._binary,
            "QLinearConcat": self._concat,
            "QLinearSoftmax": self._softmax,
            "ConvInteger": self._integer,
            "MatMulInteger": self._integer,
        }.get(node.op_type)

    # QDQ

    def _quantize(self, node: onnx.NodeProto) -> None:
        scale, zero = _inputs(node, 3)[1:]
        self.round(node.output[0], node.input[0], scale, zero)

    def _dequantize(self, node: onnx.NodeProto) -> None:
        name, scale, zero = _inputs(node, 3)
        if name in self.sums:
            raise NotDequantizableError(f"{named(node)} reads a sum of integers")
        if name not in self.codes:  # weights are fixed; this is an integer that the model is given
            self.nodes.append(node)
            return
        self.emit("Identity", [self.real(name, scale, zero)], node.output[0])

    def _dynamic(self, node: onnx.NodeProto) -> None:
        codes = self.fresh(f"{node.output[0]}_q")
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", node.input, [codes, *node.output[1:]], node.name))
        self.codes[node.output[0]] = Code(node.input[0], node.output[1], node.output[2])

    # QOperator

    def _conv(self, node: onnx.NodeProto) -> None:
        x, xs, xz, w, ws, wz, ys, yz, bias = _inputs(node, 9)
        inputs = [self.real(x, xs, xz), self.weight(w, ws, wz, 0)]
        if bias:
            inputs.append(self.constant(f"{bias}_r", self.array(bias) * (self.array(xs) * self.array(ws))))
        self._compute(node, "Conv", inputs, ys, yz, _CONV)

    def _matmul(self, node: onnx.NodeProto) -> None:
        a, a_s, az, b, bs, bz, ys, yz = _inputs(node, 8)
        second = self.weight(b, bs, bz, -1) if b in self.fixed else self.real(b, bs, bz)
        self._compute(node, "MatMul", [self.real(a, a_s, az), second], ys, yz)

    def _gemm(self, node: onnx.NodeProto) -> None:
        a, a_s, az, b, bs, bz, c, ys, yz = _inputs(node, 9)
        axis = 0 if attribute(node, "transB", 0) else 1
        inputs = [self.real(a, a_s, az), self.weight(b, bs, bz, axis)]
        if c:
            alpha = np.float32(attribute(node, "alpha", 1.0))  # type: ignore[arg-type]
            inputs.append(self.constant(f"{c}_r", self.array(c) * (alpha * self.array(a_s) * self.array(bs))))
        self._compute(node, "Gemm", inputs, ys, yz, ("alpha", "transA", "transB"))

    def _binary(self, node: onnx.NodeProto) -> None:
        a, a_s, az, b, bs, bz, ys, yz = _inputs(node, 8)
        inputs = [self.real(a, a_s, az), self.real(b, bs, bz)]
        self._compute(node, node.op_type.removeprefix("QLinear"), inputs, ys, yz)

    def _unary(self, node: onnx.NodeProto) -> None:
        x, xs, xz, ys, yz = _inputs(node, 5)
        op, kept = _UNARY[node.op_type]
        self._compute(node, op, [self.real(x, xs, xz)], ys, yz, kept)

    def _concat(self, node: onnx.NodeProto) -> None:
        ys, yz, *triples = node.input
        inputs = [self.real(*triples[i : i + 3]) for i in range(0, len(triples), 3)]
        self._compute(node, "Concat", inputs, ys, yz, ("axis",))

    def _softmax(self, node: onnx.NodeProto) -> None:
        x, xs, xz, ys, yz = _inputs(node, 5)
        same = (attribute(node, "opset", 13) >= 13) == (default_opset(self.source) >= 13)  # type: ignore[operator]
        if not same and attribute(node, "axis", -1) != -1:  # until opset 13 it ran over all axes from this one on
            raise NotDequantizableError(f"{named(node)} has the meaning of another opset")
        self._compute(node, "Softmax", [self.real(x, xs, xz)], ys, yz, ("axis",))

    def _integer(self, node: onnx.NodeProto) -> None:
        first, second, first_zero, second_zero = _inputs(node, 4)
        inputs = [self.centred(node, first, first_zero, -2), self.centred(node, second, second_zero, -1)]
        if node.op_type == "ConvInteger" and second_zero and self.array(second_zero).size > 1:
            raise NotDequantizableError(f"{named(node)} has a zero point for each channel")
        kept = _CONV if node.op_type == "ConvInteger" else ()
        self.emit(node.op_type.removesuffix("Integer"), inputs, node.output[0], self._attributes(node, kept))
        self.sums.add(node.output[0])

    # integers between those

    def _with_codes(self, node: onnx.NodeProto) -> None:
        first = self.codes[next(name for name in node.input if name in self.codes)]
        if node.op_type in ("ArgMax", "ArgMin"):
            self.emit(node.op_type, [first.real], node.output[0], list(node.attribute))
        elif node.op_type == "Cast":
            self._cast(node, first)
        elif node.op_type in _MOVERS or node.op_type in _MOVERS_OF_ALL:
            self._move(node, first)
        else:
            raise NotDequantizableError(f"{named(node)} computes with the integers themselves")

    def _cast(self, node: onnx.NodeProto, code: Code) -> None:
        kind = attribute(node, "to", 0)
        if kind in SPANS:
            self.codes[node.output[0]] = code
        elif kind == TensorProto.FLOAT:
            scale, zero = self.parameters(code.scale, code.zero)
            steps = self.made("Div", [code.real, self.constant("scale", np.float32(scale))])
            self.emit("Add", [steps, self.constant("zero", np.float32(zero))], node.output[0])
        else:
            raise NotDequantizableError(f"{named(node)} computes with the integers themselves")

    def _move(self, node: onnx.NodeProto, code: Code) -> None:
        data = _MOVERS.get(node.op_type, range(len(node.input)))
        inputs = list(node.input)
        for place, name in enumerate(node.input):
            if name and place in data:
                inputs[place] = self.real(name, code.scale, code.zero)
        if node.op_type == "Pad" and attribute(node, "mode", b"constant") == b"constant":
            if default_opset(self.source) < 11:
                raise NotDequantizableError(f"{named(node)} pads integers in the form of an old opset")
            if len(inputs) < 3 or not inputs[2]:  # an integer 0, whatever that stands for
                scale, zero = self.parameters(code.scale, code.zero)
                inputs[2:3] = [self.constant("padding", np.float32(-zero * scale))]
        if node.op_type == "MaxPool" and len(node.output) > 1:
            raise NotDequantizableError(f"{named(node)} gives indices")
        outputs = [self.fresh(f"{name}_r") for name in node.output]
        moved = helper.make_node(node.op_type, inputs, outputs, node.name, domain=node.domain)
        moved.attribute.extend(node.attribute)
        self.nodes.append(moved)
        for name, real in zip(node.output, outputs, strict=True):
            self.codes[name] = Code(real, code.scale, code.zero)

    def _with_sums(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Cast" and attribute(node, "to", 0) == TensorProto.FLOAT:
            self.emit("Identity", list(node.input), node.output[0])
        elif node.op_type in ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity"):
            self.nodes.append(node)
            self.sums.update(node.output)
        elif node.op_type == "Add" and all(name in self.sums or name in self.graph.weights for name in node.input):
            names = [name if name in self.sums else self.constant(name, self.array(name)) for name in node.input]
            self.emit("Add", names, node.output[0])
            self.sums.update(node.output)
        else:
            raise NotDequantizableError(f"{named(node)} computes with sums of integers")

    def _compute(
        self,
        node: onnx.NodeProto,
        op: str,
        inputs: Sequence[str],
        scale: str,
        zero: str,
        kept: Sequence[str] = (),
    ) -> None:
        """Write the float form of an integer operator; without a scale its output is float already (QGemm)."""
        if attribute(node, "channels_last", 0):
            raise NotDequantizableError(f"{named(node)} has its channels last")
        output = node.output[0] if not scale else self.fresh(f"{node.output[0]}_r")
        self.emit(op, list(inputs), output, self._attributes(node, kept))
        if scale:
            self.round(node.output[0], output, scale, zero)

    def _attributes(self, node: onnx.NodeProto, kept: Sequence[str]) -> list[onnx.AttributeProto]:
        return [item for item in node.attribute if item.name in kept]


def _inputs(node: onnx.NodeProto, count: int) -> list[str]:
    """Return a node's inputs, "" for those that are left out at the end."""
    return [*node.input, *[""] * count][:count]


def _quantizes(body: onnx.GraphProto) -> bool:
    return any(
        node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear")
        or node.op_type.startswith("QLinear")
        or any(_quantizes(inner) for inner in subgraphs(node))
        for node in body.node
    )
