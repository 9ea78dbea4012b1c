"""Operators with weights, windows and resampling: convolutions, products, normalisation, pooling, Resize."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor

from edge_export.qat.ops.node import Inputs, Node

__all__ = [
    "average_pool",
    "batch_norm",
    "conv",
    "conv_transpose",
    "gemm",
    "global_pool",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "max_pool",
]

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def conv(node: Node, inputs: Inputs) -> Tensor:
    """Conv in 1 to 3 dimensions; pads may differ at the two ends."""
    x, weight, bias = _three(inputs)
    kernel = list(weight.shape[2:])
    strides, dilations = _window(node, len(kernel))
    pads, _ = _pads(node, list(x.shape[2:]), kernel, strides, dilations)
    return _CONV[len(kernel)](_pad(x, pads, 0.0), weight, bias, strides, 0, dilations, node.get("group", 1))


def conv_transpose(node: Node, inputs: Inputs) -> Tensor:
    """ConvTranspose: the full result, cropped by the pads."""
    x, weight, bias = _three(inputs)
    kernel = list(weight.shape[2:])
    strides, dilations = _window(node, len(kernel))
    extra = node.get("output_padding", [0] * len(kernel))
    # The full result, the extra rows included, before anything is cropped (torch limits its own output_padding).
    run = _CONV_TRANSPOSE[len(kernel)]
    full = run(x, weight, None, strides, 0, 0, node.get("group", 1), dilations)
    full = F.pad(full, [n for amount in reversed(extra) for n in (0, amount)])
    sizes, wanted, auto = list(full.shape[2:]), node.get("output_shape"), node.get("auto_pad", "NOTSET")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    pads = node.get("pads", [0] * 2 * len(kernel))
    if wanted is not None:
        total = [size - want for size, want in zip(sizes, wanted, strict=True)]
        # ONNX: SAME_UPPER puts the smaller half first, every other mode the larger.
        first = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in total]
        pads = first + [t - f for t, f in zip(total, first, strict=True)]
    result = _pad(full, [-pad for pad in pads], 0.0)
    return result if bias is None else result + bias.reshape(-1, *[1] * len(kernel))


def gemm(node: Node, inputs: Inputs) -> Tensor:
    """alpha * A' * B' + beta * C."""
    a, b, c = _three(inputs)
    product = torch.matmul(a.t() if node.get("transA", 0) else a, b.t() if node.get("transB", 0) else b)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    product = product if alpha == 1.0 else product * alpha
    return product if c is None else product + (c if beta == 1.0 else c * beta)


def batch_norm(node: Node, inputs: Inputs) -> Tensor:
    """BatchNormalization with its stored statistics, as it is used after training."""
    x, scale, bias, mean, variance = (tensor for tensor in inputs[:5] if tensor is not None)
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, node.get("epsilon", 1e-5))


def instance_norm(node: Node, inputs: Inputs) -> Tensor:
    """InstanceNormalization over the spatial dimensions."""
    x, scale, bias = _three(inputs)
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def group_norm(node: Node, inputs: Inputs) -> Tensor:
    """GroupNormalization; before opset 21 scale and bias have one value per group."""
    x, scale, bias = _three(inputs)
    groups = int(node.get("num_groups", 1))
    if bias is not None and scale.numel() == groups != x.shape[1]:
        scale, bias = (v.repeat_interleave(x.shape[1] // groups) for v in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


def layer_norm(node: Node, inputs: Inputs) -> Tensor:
    """LayerNormalization from `axis` to the last dimension."""
    x, scale, bias = _three(inputs)
    axis = node.get("axis", -1) % x.ndim
    return F.layer_norm(x, list(x.shape[axis:]), scale, bias, node.get("epsilon", 1e-5))


def max_pool(node: Node, inputs: Inputs) -> Tensor:
    """MaxPool; the border never wins."""
    x = _first(inputs)
    kernel = node.get("kernel_shape")
    strides, dilations = _window(node, len(kernel))
    pads, more = _pads(node, list(x.shape[2:]), kernel, strides, dilations)
    both = [pad + extra for pad, extra in zip(pads, more, strict=True)]
    return _MAX_POOL[len(kernel)](_pad(x, both, -math.inf), kernel, strides, 0, dilations)


def average_pool(node: Node, inputs: Inputs) -> Tensor:
    """AveragePool: the sum of a window over the number of values that count in it."""
    x = _first(inputs)
    kernel = node.get("kernel_shape")
    strides, dilations = _window(node, len(kernel))
    if any(step != 1 for step in dilations):
        raise NotImplementedError("AveragePool with dilations")
    pads, more = _pads(node, list(x.shape[2:]), kernel, strides, dilations)
    pool = _AVERAGE_POOL[len(kernel)]
    if not any(pads) and not any(more):
        return pool(x, kernel, strides)
    counted = torch.ones_like(x[:1, :1])
    counted = _pad(counted, pads, 1.0 if node.get("count_include_pad", 0) else 0.0)
    x = _pad(_pad(x, pads, 0.0), more, 0.0)
    return pool(x, kernel, strides) / pool(_pad(counted, more, 0.0), kernel, strides)


def global_pool(node: Node, inputs: Inputs) -> Tensor:
    """GlobalAveragePool and GlobalMaxPool."""
    x = _first(inputs)
    axes = list(range(2, x.ndim))
    return x.mean(axes, keepdim=True) if node.op == "GlobalAveragePool" else x.amax(axes, keepdim=True)


def _first(inputs: Inputs) -> Tensor:
    if inputs[0] is None:
        raise ValueError("the first input is not given")
    return inputs[0]


def _three(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor | None]:
    x, weight = inputs[0], inputs[1]
    if x is None or weight is None:
        raise ValueError("an input is not given")
    return x, weight, inputs[2] if len(inputs) > 2 else None


def _window(node: Node, rank: int) -> tuple[list[int], list[int]]:
    return list(node.get("strides") or [1] * rank), list(node.get("dilations") or [1] * rank)


def _pads(
    node: Node, sizes: list[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> tuple[list[int], list[int]]:
    """Return ONNX pads (all begins, all ends), and what `ceil_mode` adds at the ends."""
    rank, auto = len(kernel), node.get("auto_pad", "NOTSET")
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (math.ceil(size / stride) - 1) * stride + span - size)
            for size, stride, span in zip(sizes, strides, spans, strict=True)
        ]
        small = [t // 2 for t in total]
        large = [t - s for t, s in zip(total, small, strict=True)]
        return (small + large if auto == "SAME_UPPER" else large + small), [0] * 2 * rank
    pads = [0] * 2 * rank if auto == "VALID" else list(node.get("pads") or [0] * 2 * rank)
    more = [0] * 2 * rank
    if node.get("ceil_mode", 0):
        for i in range(rank):
            length = sizes[i] + pads[i] + pads[i + rank] - spans[i]
            count = math.ceil(length / strides[i]) + 1
            if (count - 1) * strides[i] >= sizes[i] + pads[i]:
                count -= 1  # a window may not begin behind the input
            more[i + rank] = max(0, (count - 1) * strides[i] - length)
    return pads, more


def _pad(x: Tensor, pads: list[int], value: float) -> Tensor:
    if not any(pads):
        return x
    rank = len(pads) // 2
    return F.pad(x, [n for i in reversed(range(rank)) for n in (pads[i], pads[i + rank])], value=value)
