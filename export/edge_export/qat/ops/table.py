"""The operators that can be trained, by name. One that is missing here is refused with its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor

from edge_export.qat.ops import compute, shapes
from edge_export.qat.ops.node import Inputs, Node, Operator, axes_of
from edge_export.qat.ops.resize import resize

__all__ = ["OPERATORS", "SEVERAL_OUTPUTS"]

# Of all others only the first output is computed.
SEVERAL_OUTPUTS = frozenset({"Split", "TopK"})


def _one(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda node, inputs: function(_x(inputs))


def _two(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda node, inputs: function(_x(inputs), _x(inputs, 1))


def _fold(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda node, inputs: reduce(function, [value for value in inputs if value is not None])


def _x(inputs: Inputs, slot: int = 0) -> Tensor:
    value = inputs[slot]
    if value is None:
        raise ValueError(f"input {slot} is not given")
    return value


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _clip(node: Node, inputs: Inputs) -> Tensor:
    bounds = [node.get("min"), node.get("max")]
    for slot in (1, 2):
        if slot < len(inputs) and inputs[slot] is not None:
            bounds[slot - 1] = _x(inputs, slot)
    low, high = (torch.as_tensor(b, device=_x(inputs).device) if b is not None else None for b in bounds)
    return _x(inputs) if low is None and high is None else torch.clamp(_x(inputs), low, high)


def _prelu(node: Node, inputs: Inputs) -> Tensor:
    x, slope = _x(inputs), _x(inputs, 1)
    return torch.where(x >= 0, x, x * slope)


def _hard_sigmoid(node: Node, inputs: Inputs) -> Tensor:
    return torch.clamp(node.get("alpha", 0.2) * _x(inputs) + node.get("beta", 0.5), 0.0, 1.0)


def _selu(node: Node, inputs: Inputs) -> Tensor:
    x, alpha, gamma = _x(inputs), node.get("alpha", 1.6732632), node.get("gamma", 1.0507010)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(x.clamp_max(0)))


def _softmax(node: Node, inputs: Inputs) -> Tensor:
    x = _x(inputs)
    function = F.softmax if node.op == "Softmax" else F.log_softmax
    if node.opset >= 13:
        return function(x, node.get("axis", -1))
    # Before opset 13 every dimension from `axis` on is one.
    axis = node.get("axis", 1) % x.ndim
    return function(x.reshape(*x.shape[:axis], -1), -1).reshape(x.shape)


_REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keep),
}


def _reduction(node: Node, inputs: Inputs) -> Tensor:
    x, axes = _x(inputs), axes_of(node, inputs)
    if not axes and node.get("noop_with_empty_axes", 0):
        return x
    return _REDUCTIONS[node.op](x, axes or list(range(x.ndim)), bool(node.get("keepdims", 1)))


def _mean(node: Node, inputs: Inputs) -> Tensor:
    return _fold(torch.add)(node, inputs) / len(inputs)  # type: ignore[operator]


def _mod(node: Node, inputs: Inputs) -> Tensor:
    return (torch.fmod if node.get("fmod", 0) else torch.remainder)(_x(inputs), _x(inputs, 1))


def _lrn(node: Node, inputs: Inputs) -> Tensor:
    x = _x(inputs)
    return F.local_response_norm(
        x, node.get("size"), node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    )


def _einsum(node: Node, inputs: Inputs) -> Tensor:
    return torch.einsum(node.get("equation"), *inputs)


OPERATORS: dict[str, Operator] = {
    # with weights or windows
    "AveragePool": compute.average_pool,
    "BatchNormalization": compute.batch_norm,
    "Conv": compute.conv,
    "ConvTranspose": compute.conv_transpose,
    "Einsum": _einsum,
    "Gemm": compute.gemm,
    "GlobalAveragePool": compute.global_pool,
    "GlobalMaxPool": compute.global_pool,
    "GroupNormalization": compute.group_norm,
    "InstanceNormalization": compute.instance_norm,
    "LRN": _lrn,
    "LayerNormalization": compute.layer_norm,
    "MatMul": _two(torch.matmul),
    "MaxPool": compute.max_pool,
    "PRelu": _prelu,
    "Resize": resize,
    "Upsample": resize,
    # elementwise, one input
    "Abs": _one(torch.abs),
    "Ceil": _one(torch.ceil),
    "Celu": lambda node, inputs: F.celu(_x(inputs), node.get("alpha", 1.0)),
    "Clip": _clip,
    "Cos": _one(torch.cos),
    "Dropout": _one(lambda x: x),
    "Elu": lambda node, inputs: F.elu(_x(inputs), node.get("alpha", 1.0)),
    "Erf": _one(torch.erf),
    "Exp": _one(torch.exp),
    "Floor": _one(torch.floor),
    "Gelu": lambda node, inputs: F.gelu(_x(inputs), approximate=node.get("approximate", "none")),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _one(lambda x: x * torch.clamp(x / 6.0 + 0.5, 0.0, 1.0)),
    "Identity": _one(lambda x: x),
    "LeakyRelu": lambda node, inputs: F.leaky_relu(_x(inputs), node.get("alpha", 0.01)),
    "Log": _one(torch.log),
    "LogSoftmax": _softmax,
    "Mish": _one(F.mish),
    "Neg": _one(torch.neg),
    "Not": _one(torch.logical_not),
    "Reciprocal": _one(torch.reciprocal),
    "Relu": _one(torch.relu),
    "Round": _one(torch.round),
    "Selu": _selu,
    "Sigmoid": _one(torch.sigmoid),
    "Sign": _one(torch.sign),
    "Sin": _one(torch.sin),
    "Softmax": _softmax,
    "Softplus": _one(lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "Softsign": _one(F.softsign),
    "Sqrt": _one(torch.sqrt),
    "Tanh": _one(torch.tanh),
    "ThresholdedRelu": lambda node, inputs: F.threshold(_x(inputs), node.get("alpha", 1.0), 0.0),
    # elementwise, more inputs
    "Add": _two(torch.add),
    "And": _two(torch.logical_and),
    "Div": _two(_divide),
    "Equal": _two(torch.eq),
    "Greater": _two(torch.gt),
    "GreaterOrEqual": _two(torch.ge),
    "Less": _two(torch.lt),
    "LessOrEqual": _two(torch.le),
    "Max": _fold(torch.maximum),
    "Mean": _mean,
    "Min": _fold(torch.minimum),
    "Mod": _mod,
    "Mul": _two(torch.mul),
    "Or": _two(torch.logical_or),
    "Pow": _two(torch.pow),
    "Sub": _two(torch.sub),
    "Sum": _fold(torch.add),
    "Where": lambda node, inputs: torch.where(_x(inputs), _x(inputs, 1), _x(inputs, 2)),
    # reductions and choices
    "ArgMax": shapes.arg_max,
    "ArgMin": shapes.arg_max,
    "TopK": shapes.top_k,
    **dict.fromkeys(_REDUCTIONS, _reduction),
    # shapes
    "Cast": shapes.cast,
    "Concat": shapes.concat,
    "Constant": shapes.constant,
    "ConstantOfShape": shapes.constant_of_shape,
    "DepthToSpace": shapes.depth_to_space,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "Pad": shapes.pad,
    "Range": shapes.range_,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Slice": shapes.slice_,
    "SpaceToDepth": shapes.space_to_depth,
    "Split": shapes.split,
    "Squeeze": shapes.squeeze,
    "Tile": shapes.tile,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
