"""An ONNX graph as a torch module: its nodes in order, its float weights as parameters under their own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from edge_export.graph import default_opset, subgraphs
from edge_export.qat.ops import OPERATORS, SEVERAL_OUTPUTS
from edge_export.qat.ops.node import Inputs, Node, read_node
from edge_runtime.errors import ModelError

__all__ = ["Step", "TorchGraph", "module_key"]

# The inputs of a node that training may change; other constants (anchors, scales, masks) stay what they are.
_TRAINED: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "MatMul": (0, 1),
    "PRelu": (1,),
}


@dataclass(frozen=True)
class Step:
    """One node: `inputs` and `outputs` are value names, "" where one is left out; `last` are read here for the last
    time and dropped.
    """

    node: Node
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last: tuple[str, ...]


def module_key(name: str, taken: Mapping[str, object]) -> str:
    """Return an ONNX name as torch allows it for a parameter: without dots, and not in `taken`."""
    key = name.replace(".", "/") or "_"
    while key in taken:
        key += "_"
    return key


class TorchGraph(nn.Module):
    """Runs the graph on torch tensors, on the device that its parameters are on; gradients flow to its weights.

    `weights` holds the trained initializers, `frozen` names initializers that a subclass computes itself. Raises
    ModelError for a graph with operators that are not in OPERATORS.
    """

    def __init__(self, model: onnx.ModelProto, frozen: Sequence[str] = ()) -> None:
        super().__init__()
        self.opset = default_opset(model)
        arrays = {w.name: w for w in model.graph.initializer if w.name not in set(frozen)}
        self.inputs = tuple(value.name for value in model.graph.input if value.name not in arrays)
        self.outputs = tuple(value.name for value in model.graph.output)
        self.steps = _steps(model, self.opset, self.outputs)
        self._check_operators()
        self.weights = nn.ParameterDict()
        self._keys: dict[str, str] = {}  # initializer -> key in `weights`
        self._buffers_of: dict[str, str] = {}  # initializer -> attribute of a float buffer
        self._integers: dict[str, Tensor] = {}  # shapes and indices stay on the CPU, where they are read as numbers
        reads = [
            (name, slot in _TRAINED.get(step.node.op, ()))
            for step in self.steps
            for slot, name in enumerate(step.inputs)
        ]
        # A constant may be read twice because its values are equal: a scale that is a variance too stays as it is.
        trained = {name for name, is_trained in reads if is_trained} - {
            name for name, is_trained in reads if not is_trained
        }
        for name, tensor in arrays.items():
            self._add_constant(name, numpy_helper.to_array(tensor), name in trained)

    def add_weight(self, name: str, values: NDArray[np.generic]) -> None:
        """Make a parameter of a float array, under the initializer's name."""
        if name not in self._keys:
            self._keys[name] = module_key(name, self.weights)
            self.weights[self._keys[name]] = nn.Parameter(torch.from_numpy(np.array(values, np.float32)))

    def weight(self, name: str) -> Tensor:
        """Return the parameter of an initializer."""
        return self.weights[self._keys[name]]

    def trained_names(self) -> list[str]:
        """Return the names of all initializers that are parameters."""
        return list(self._keys)

    def forward(self, *images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Take the graph's inputs in order, return its output, or the tuple of them."""
        found = self.run(dict(zip(self.inputs, images, strict=True)))
        values = tuple(found[name] for name in self.outputs)
        return values[0] if len(values) == 1 else values

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run on named inputs (those the graph does not have are ignored) and return its outputs by name."""
        values: dict[str, Tensor] = {name: feeds[name] for name in self.inputs}
        values.update(self._integers)
        values.update({name: self.weights[key] for name, key in self._keys.items()})
        values.update({name: self.get_buffer(key) for name, key in self._buffers_of.items()})
        for step in self.steps:
            try:
                found = self.compute(step, [values.get(name) for name in step.inputs])
            except (NotImplementedError, RuntimeError, ValueError, IndexError, TypeError) as error:
                raise ModelError(
                    f"{step.node.op} {step.node.name!r} cannot be run in torch: {' '.join(str(error).split())[:300]}; "
                    "export without QAT, or replace that part of the model"
                ) from error
            for name, value in zip(step.outputs, found if isinstance(found, tuple) else (found,), strict=False):
                values[name] = value
            for name in step.last:
                values.pop(name, None)
        return {name: values[name] for name in self.outputs}

    def compute(self, step: Step, inputs: Inputs) -> Tensor | tuple[Tensor, ...]:
        """Run one node; a subclass takes over those that it knows better."""
        return OPERATORS[step.node.op](step.node, inputs)

    def knows(self, op: str) -> bool:
        """Tell whether `compute` can run an operator."""
        return op in OPERATORS

    def _add_constant(self, name: str, array: NDArray[np.generic], trained: bool) -> None:
        if array.dtype == np.float32 and trained:
            self.add_weight(name, array)
        elif array.dtype.kind == "f":
            key = f"constant_{len(self._buffers_of)}"
            self.register_buffer(key, torch.from_numpy(np.array(array)), persistent=False)
            self._buffers_of[name] = key
        else:
            self._integers[name] = torch.from_numpy(np.array(array))

    def _check_operators(self) -> None:
        strange = sorted({step.node.op for step in self.steps if not self.knows(step.node.op)})
        if strange:
            first = next(step.node.name for step in self.steps if step.node.op == strange[0])
            raise ModelError(
                f"the graph has operators that QAT cannot train: {', '.join(strange)} (first: node {first!r}); "
                "leave them out of the model that is trained (suppression of boxes, for example, belongs behind it), "
                "or export without QAT"
            )
        read = {name for step in self.steps for name in step.inputs} | set(self.outputs)
        for step in self.steps:
            if step.node.op not in SEVERAL_OUTPUTS and any(name in read for name in step.outputs[1:]):
                raise ModelError(
                    f"{step.node.op} {step.node.name!r} gives {step.outputs[1]!r}, a second output that QAT does not "
                    "compute; export without QAT"
                )


def _steps(model: onnx.ModelProto, opset: int, outputs: Sequence[str]) -> tuple[Step, ...]:
    keep = set(outputs)
    last: dict[int, list[str]] = {}
    for index in reversed(range(len(model.graph.node))):
        names = [name for name in dict.fromkeys(model.graph.node[index].input) if name and name not in keep]
        last[index] = names
        keep.update(names)
    steps = []
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or next(subgraphs(node), None) is not None:
            raise ModelError(
                f"node {node.name!r} is {node.op_type} of {node.domain or 'the control-flow operators'}, which QAT "
                "cannot train; export without QAT"
            )
        steps.append(Step(read_node(node, opset), tuple(node.input), tuple(node.output), tuple(last[index])))
    return tuple(steps)
