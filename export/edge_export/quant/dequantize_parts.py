"""What the writer of a dequantized model is made of: names, constants, and the float behind an integer value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_export.graph import Graph, attribute

__all__ = ["SPANS", "Code", "DequantizeParts", "NotDequantizableError", "Quantizer", "named"]

SPANS = {
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-(1 << 15), (1 << 15) - 1),
    TensorProto.UINT16: (0, (1 << 16) - 1),
}
_SIX = 6.0


@dataclass(frozen=True)
class Quantizer:
    """A place where the model rounds an activation to scale * integer within low..high.

    `tensor` is what the model calls the rounded value, `value` what the dequantized model calls the exact one.
    """

    tensor: str
    value: str
    scale: float
    low: float
    high: float

    def rounded(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return what the model would make of exact values."""
        steps = np.rint(values.astype(np.float64) / self.scale) * self.scale
        return np.asarray(np.clip(steps, self.low, self.high), np.float64)


class NotDequantizableError(Exception):
    """Something that has no float form; the message says what."""


@dataclass(frozen=True)
class Code:
    """An integer value of the model: the float value for it, and the names of its scale and zero point ("": 0)."""

    real: str
    scale: str
    zero: str


class DequantizeParts:
    """The dequantized form of `model` so far: nodes, constants, and what each integer value of the model stands for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.source = model
        self.graph = Graph(model)
        self.nodes: list[onnx.NodeProto] = []
        self.constants = dict(self.graph.weights)
        self.fixed = set(self.graph.weights)  # values made of constants alone: weights, kept as they are
        self.codes: dict[str, Code] = {}
        self.sums: set[str] = set()  # int32 sums of integer products: floats in the dequantized model
        self.quantizers: list[Quantizer] = []
        self.taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(self.constants)

    def round(self, name: str, real: str, scale: str, zero: str) -> None:
        """Note that the model rounds `real` to the integers `name` here, and keep the Relu that may hide in that."""
        step, offset = self.parameters(scale, zero)
        least, most = self.span(zero)
        low, high = (least - offset) * step, (most - offset) * step
        if offset == least:
            real = self.made("Relu", [real])
            if abs(high - _SIX) < 0.02 * _SIX:
                real = self.made("Min", [real, self.constant("six", np.float32(_SIX))])
        self.quantizers.append(Quantizer(name, real, step, low, high))
        self.codes[name] = Code(real, scale, zero)

    def real(self, name: str, scale: str, zero: str) -> str:
        """Return the dequantized model's float value for integers that are read by this scale and zero point."""
        if name in self.sums:
            raise NotDequantizableError(f"{name!r} is a sum of integers that is read as quantized values")
        if name not in self.codes:
            return self.made("DequantizeLinear", [name, scale, *([zero] if zero else [])])
        code = self.codes[name]
        if (code.scale, code.zero) == (scale, zero):
            return code.real
        made, read = self.parameters(code.scale, code.zero), self.parameters(scale, zero)
        if made == read:
            return code.real
        # Read by another scale than it was made with: (real / s1 + z1 - z2) * s2.
        ratio = self.constant("ratio", np.float32(read[0] / made[0]))
        shift = self.constant("shift", np.float32((made[1] - read[1]) * read[0]))
        return self.made("Add", [self.made("Mul", [code.real, ratio]), shift])

    def weight(self, name: str, scale: str, zero: str, axis: int) -> str:
        """Return constant integers as a float constant; scales and zero points may go along `axis`."""
        if name not in self.graph.weights:
            return self.real(name, scale, zero)
        values = self.array(name)
        shape = [1] * values.ndim
        if values.ndim:
            shape[axis] = -1
        parts = [self.array(part) if part else np.zeros(1, np.float32) for part in (scale, zero)]
        scales, zeros = (part.reshape(shape) if part.size > 1 else part.reshape(()) for part in parts)
        return self.constant(f"{name}_r", (values - zeros) * scales)

    def zeroed(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """Return a DequantizeLinear of int8 weights with a zero point for each of its scales.

        Where int8 sums saturate, onnxruntime makes uint8 of int8 weights, whose zero point is then 128. Without one it
        writes a single 128, which it refuses beside several scales.
        """
        weight, scale = (self.graph.weights.get(name) for name in node.input[:2])
        if len(node.input) > 2 or weight is None or scale is None or weight.data_type != TensorProto.INT8:
            return node
        zero = self.fresh(f"{node.output[0]}_z")
        self.constants[zero] = numpy_helper.from_array(np.zeros(tuple(scale.dims), np.int8), zero)
        wanted = onnx.NodeProto()
        wanted.CopyFrom(node)
        wanted.input.append(zero)
        return wanted

    def centred(self, node: onnx.NodeProto, name: str, zero: str, axis: int) -> str:
        """Return integers less their zero point, as floats that are not rounded."""
        if name in self.codes:
            code = self.codes[name]
            if zero != code.zero and self.parameters(code.scale, zero) != self.parameters(code.scale, code.zero):
                raise NotDequantizableError(f"{named(node)} reads {name!r} by another zero point than it was made with")
            return self.made("Div", [code.real, code.scale])
        if name in self.graph.weights:
            values = self.array(name)
            shift = self.array(zero) if zero else np.zeros(1, np.float32)
            shift = (
                shift.reshape(-1, 1) if shift.size > 1 and axis == -2 else shift.reshape(-1 if shift.size > 1 else ())
            )
            return self.constant(f"{name}_r", values - shift)
        wide = self.made("Cast", [name], to=TensorProto.FLOAT)
        if not zero:
            return wide
        return self.made("Sub", [wide, self.made("Cast", [zero], to=TensorProto.FLOAT)])

    def parameters(self, scale: str, zero: str) -> tuple[float, int]:
        step, offset = self.array(scale), self.array(zero) if zero else np.zeros(1, np.float32)
        if step.size != 1 or offset.size != 1:
            raise NotDequantizableError(f"an activation has a scale for each channel ({scale!r})")
        if not (np.isfinite(step).all() and step.min() > 0):
            raise NotDequantizableError(f"the scale {scale!r} is no positive number")
        return float(step.reshape(())), int(offset.reshape(()))

    def array(self, name: str) -> NDArray[np.float32]:
        """Return a constant as float32."""
        if name in self.graph.weights:
            return np.asarray(self.graph.array(name), np.float32)
        maker = self.graph.producer.get(name)
        if maker is not None and maker.op_type == "Identity":
            return self.array(maker.input[0])
        if maker is not None and maker.op_type == "Constant" and attribute(maker, "value", None) is not None:
            return np.asarray(numpy_helper.to_array(attribute(maker, "value", None)), np.float32)
        raise NotDequantizableError(f"the scale, zero point or bias {name!r} is computed at run time")

    def span(self, zero: str) -> tuple[int, int]:
        """Return the least and the largest integer of a zero point's type; without one it is uint8."""
        tensor, maker = self.graph.weights.get(zero), self.graph.producer.get(zero)
        if tensor is None and maker is not None and maker.op_type == "Identity":
            return self.span(maker.input[0])
        if tensor is None and maker is not None and maker.op_type == "Constant":
            tensor = attribute(maker, "value", None)
        return SPANS[TensorProto.UINT8 if tensor is None else tensor.data_type]

    def emit(self, op: str, inputs: Sequence[str], output: str, attributes: Sequence[onnx.AttributeProto] = ()) -> None:
        node = helper.make_node(op, inputs, [output], self.fresh(f"{output}_n"))
        node.attribute.extend(attributes)
        self.nodes.append(node)

    def made(self, op: str, inputs: Sequence[str], to: int | None = None) -> str:
        """Write a helper node and return its value."""
        output = self.fresh(f"{inputs[0]}_{op}")
        self.emit(op, inputs, output, [helper.make_attribute("to", to)] if to is not None else ())
        return output

    def constant(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        fresh = self.fresh(f"{name}_c")
        self.constants[fresh] = numpy_helper.from_array(np.asarray(values, np.float32), fresh)
        return fresh

    def fresh(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def named(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name!r}"
