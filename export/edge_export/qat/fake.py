"""Fake quantization: float values that are exactly those an ONNX QuantizeLinear -> DequantizeLinear pair gives.

    q = clamp(round_half_even(x / scale) + zero, low, high);  real = (q - zero) * scale

all in float32, as onnxruntime computes it. The gradient is that of the learned step size (Esser et al., "Learned Step
Size Quantization", arXiv 1902.08153): values inside the range pass it on unchanged (straight through), and

    d real / d scale = (q - zero) - x / scale   inside the range,   q - zero   where x was clipped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["fake_quantize"]


class _FakeQuantize(torch.autograd.Function):
    """`torch.autograd.Function` keeps the forward value exact: x + (y - x).detach() would round once more."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: int, low: int, high: int) -> Tensor:
        steps = x / scale
        unclipped = torch.round(steps) + zero
        levels = unclipped.clamp(low, high) - zero
        ctx.save_for_backward(steps, levels, unclipped == levels + zero)
        ctx.scale_shape = scale.shape
        return levels * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        steps, levels, inside = ctx.saved_tensors
        to_x = gradient * inside if ctx.needs_input_grad[0] else None
        to_scale = None
        if ctx.needs_input_grad[1]:
            to_scale = (gradient * torch.where(inside, levels - steps, levels)).sum_to_size(ctx.scale_shape)
        return to_x, to_scale, None, None, None


def fake_quantize(x: Tensor, scale: Tensor, zero: int, low: int, high: int) -> Tensor:
    """Return float32 `x` as its quantized form stands for it; `scale` (positive) must broadcast to `x`.

    `zero` is the zero point, `low` and `high` the ends of the integer type, such as 0 and 255.
    """
    return _FakeQuantize.apply(x, scale, zero, low, high)
