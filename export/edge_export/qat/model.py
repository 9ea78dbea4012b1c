"""The graph that is trained: the QDQ graph itself, its Q/DQ pairs as fake quantizers with learned scales.

Nothing here decides where a quantizer stands: the graph that `edge_export.quant.qdq.to_qdq` wrote is run as it is,
and exporting puts the trained numbers into its initializers. So what was trained is what is exported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from edge_export.qat.graph import Step, TorchGraph, module_key
from edge_export.qat.ops.node import Inputs
from edge_export.qat.plan import QatPlan
from edge_export.qat.quantizers import ActivationQuantizer, WeightQuantizer
from edge_runtime.errors import ModelError

__all__ = ["QatModel"]


@dataclass(frozen=True)
class _Pair:
    """A QuantizeLinear of activations: `key` of its scale's quantizer, and the ends of its integer type."""

    key: str
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class _Weights:
    """An int8 node's constants. `values`/`scale` and `bias_values`/`bias_scale` are initializers of the QDQ graph."""

    key: str
    weight: str
    bias: str | None
    input_key: str
    values: str
    scale: str
    bias_values: str
    bias_scale: str


class QatModel(TorchGraph):
    """An nn.Module that answers what the exported int8 model will answer, and whose weights and scales can be trained.

    Call it on the graph's inputs in order, float32 tensors on its device. `weights` are the float weights by their
    ONNX names, `activations` and `kernels` the quantizers. `plan` holds the graphs and facts it was made from.
    """

    def __init__(self, plan: QatPlan) -> None:
        qdq, graph = plan.qdq, plan.qdq.graph
        constants = {weight.name: weight for weight in graph.initializer}
        self._producer = {output: node for node in graph.node for output in node.output}
        computed = [name for node in graph.node if node.op_type in _QDQ for name in node.input if name in constants]
        others = {name for node in graph.node if node.op_type not in _QDQ for name in node.input}
        super().__init__(qdq, [name for name in computed if name not in others])
        self.plan = plan
        self.activations, self.kernels = nn.ModuleDict(), nn.ModuleDict()
        self._scale_keys: dict[str, str] = {}  # scale initializer -> key in `activations`
        self._pairs: dict[str, _Pair] = {}  # output of a QuantizeLinear
        self._kernel_of: dict[str, tuple[_Weights, bool]] = {}  # output of a weight's or bias's DQ -> (.., is bias)
        for node in graph.node:
            if node.op_type == "QuantizeLinear":
                self._add_pair(node, constants)
        for item in plan.int8:
            self._add_kernel(item.name, item.weight, item.bias, item.axis, constants)
        self._check_wiring()

    def knows(self, op: str) -> bool:
        """Tell whether `compute` can run an operator: the quantizers too."""
        return op in _QDQ or super().knows(op)

    def compute(self, step: Step, inputs: Inputs) -> Tensor | tuple[Tensor, ...]:
        """Run one node; a Q gives the real values that its integers stand for, the DQ behind it passes them on."""
        name = step.outputs[0]
        if step.node.op == "QuantizeLinear":
            pair = self._pairs[name]
            quantizer: ActivationQuantizer = self.activations[pair.key]
            return quantizer(_given(inputs), pair.zero, pair.low, pair.high)
        if step.node.op == "DequantizeLinear":
            if name not in self._kernel_of:
                return _given(inputs)
            entry, is_bias = self._kernel_of[name]
            weight, bias, scale = self._floats(entry)
            kernel: WeightQuantizer = self.kernels[entry.key]
            return kernel.bias(bias, scale) if is_bias and bias is not None else kernel.weight(weight, bias, scale)
        return super().compute(step, inputs)

    def prunable(self) -> list[tuple[str, Tensor, WeightQuantizer]]:
        """Return name, float weights and quantizer of every int8 node, in graph order."""
        entries = [entry for entry, is_bias in self._kernel_of.values() if not is_bias]
        return [(entry.weight, self.weight(entry.weight), self.kernels[entry.key]) for entry in entries]

    def int8_values(self) -> list[str]:
        """Return the names of the initializers that hold int8 weights."""
        return [entry.values for entry, is_bias in self._kernel_of.values() if not is_bias]

    def initializers(self) -> dict[str, NDArray[np.generic]]:
        """Return the trained constants of the QDQ graph by name, as the exported file holds them."""
        with torch.no_grad():
            found = {name: self.weight(name).cpu().numpy() for name in self.trained_names()}
            for name, key in self._scale_keys.items():
                found[name] = self.activations[key].scale.cpu().numpy()
            for entry, is_bias in self._kernel_of.values():
                if not is_bias:
                    values, scale, units, bias_scale = self.kernels[entry.key].integers(*self._floats(entry))
                    found[entry.values], found[entry.scale] = values, scale
                    if units is not None:
                        found[entry.bias_values], found[entry.bias_scale] = units, bias_scale
        return found

    def _floats(self, entry: _Weights) -> tuple[Tensor, Tensor | None, Tensor]:
        bias = self.weight(entry.bias) if entry.bias else None
        return self.weight(entry.weight), bias, self.activations[entry.input_key].scale

    def _add_pair(self, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> None:
        scale = numpy_helper.to_array(constants[node.input[1]])
        zero = numpy_helper.to_array(constants[node.input[2]])
        if scale.size != 1 or zero.size != 1:
            raise ModelError(f"node {node.name!r} quantizes activations by channel, which QAT cannot train")
        if node.input[1] not in self._scale_keys:
            key = module_key(node.input[1], self.activations)
            self._scale_keys[node.input[1]] = key
            self.activations[key] = ActivationQuantizer(float(scale.item()))
        ends = np.iinfo(zero.dtype)
        self._pairs[node.output[0]] = _Pair(self._scale_keys[node.input[1]], int(zero.item()), ends.min, ends.max)

    def _add_kernel(
        self, name: str, weight: str, bias: str | None, axis: int, constants: dict[str, onnx.TensorProto]
    ) -> None:
        node = next(node for node in self.plan.qdq.graph.node if node.name == name)
        of_input, of_weight = self._producer[node.input[0]], self._producer[node.input[1]]
        of_bias = self._producer[node.input[2]] if bias else None
        self.add_weight(weight, self.plan.arrays[weight])
        own_bias = None
        if bias:  # biases that were equal, such as all zeros, may be one constant: each node learns its own
            own_bias = bias if bias not in self.trained_names() else f"{bias}@{name}"
            self.add_weight(own_bias, self.plan.arrays[bias])
        known = self._kernel_of.get(of_weight.output[0])
        key = known[0].key if known else module_key(of_weight.output[0], self.kernels)
        if known is None:
            scale = np.atleast_1d(numpy_helper.to_array(constants[of_weight.input[1]]))
            self.kernels[key] = WeightQuantizer(scale, axis, self.weight(weight))
        entry = _Weights(
            key=key,
            weight=weight,
            bias=own_bias,
            input_key=self._scale_keys[of_input.input[1]],
            values=of_weight.input[0],
            scale=of_weight.input[1],
            bias_values=of_bias.input[0] if of_bias is not None else "",
            bias_scale=of_bias.input[1] if of_bias is not None else "",
        )
        self._kernel_of.setdefault(of_weight.output[0], (entry, False))
        if of_bias is not None:
            self._kernel_of[of_bias.output[0]] = (entry, True)

    def _check_wiring(self) -> None:
        """Every DQ stands for weights that are trained, or passes on what a Q of the same scale made."""
        for step in self.steps:
            if step.node.op != "DequantizeLinear" or step.outputs[0] in self._kernel_of:
                continue
            maker = self._producer.get(step.inputs[0])
            if maker is None or maker.op_type != "QuantizeLinear" or tuple(maker.input[1:]) != step.inputs[1:]:
                raise ModelError(
                    f"DequantizeLinear {step.outputs[0]!r} has no QuantizeLinear before it; QAT needs pairs"
                )


_QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})


def _given(inputs: Inputs) -> Tensor:
    if inputs[0] is None:
        raise ValueError("the first input is not given")
    return inputs[0]
