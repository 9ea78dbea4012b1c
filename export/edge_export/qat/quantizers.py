"""The trained quantizers: one for each scale of the QDQ graph, one for the weights (and bias) of each int8 node.

A scale is learned as its logarithm (Jain et al., "Trained Quantization Thresholds", arXiv 1903.08066): it stays
positive, and a step of the optimizer is a factor, whatever the tensor's magnitude.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_export.qat.fake import fake_quantize

__all__ = ["ActivationQuantizer", "WeightQuantizer"]

_WEIGHT_LIMIT = 127
# Integer kernels add the bias to int32 sums: it gets half of their range (as in edge_export.quant.weights).
_BIAS_LIMIT = 2**30
_PRUNED = 0.2  # from this share of zeros on they are no chance


class ActivationQuantizer(nn.Module):
    """One learned scale, for all tensors of the graph that share it; zero points stay as calibrated."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale), dtype=torch.float32))

    @property
    def scale(self) -> Tensor:
        """The scale, float32 scalar."""
        return self.log_scale.exp()

    def forward(self, x: Tensor, zero: int, low: int, high: int) -> Tensor:
        """Return `x` through QuantizeLinear and DequantizeLinear."""
        return fake_quantize(x, self.scale, zero, low, high)


class WeightQuantizer(nn.Module):
    """Symmetric int8 weights with a learned scale per output channel, and the int32 bias that goes with them.

    `mask` is 1 where a weight lives and 0 where it is pruned; weights that arrive pruned stay so. The float32 scales
    [channels] lie along `axis`.
    """

    mask: Tensor

    def __init__(self, scale: NDArray[np.float32], axis: int, weight: Tensor) -> None:
        super().__init__()
        self.axis = axis
        self.log_scale = nn.Parameter(torch.from_numpy(np.log(scale.astype(np.float64)).astype(np.float32)))
        pruned = float((weight == 0).float().mean()) >= _PRUNED
        self.register_buffer("mask", (weight != 0).float() if pruned else torch.ones_like(weight))

    def scale(self, bias: Tensor | None, input_scale: Tensor) -> Tensor:
        """Return the scales [channels]; one whose bias would not fit int32 is larger."""
        scale = self.log_scale.exp()
        if bias is None:
            return scale
        return torch.maximum(scale, bias.detach().abs().reshape(-1) / (_BIAS_LIMIT * input_scale.detach()))

    def weight(self, weight: Tensor, bias: Tensor | None, input_scale: Tensor) -> Tensor:
        """Return the float weights that the int8 ones stand for."""
        scale = self._along_axis(self.scale(bias, input_scale), weight)
        return fake_quantize(weight * self.mask, scale, 0, -_WEIGHT_LIMIT, _WEIGHT_LIMIT)

    def bias(self, bias: Tensor, input_scale: Tensor) -> Tensor:
        """Return the float bias that the int32 one stands for."""
        scale = input_scale * self.scale(bias, input_scale)
        return fake_quantize(bias.reshape(-1), scale, 0, -_BIAS_LIMIT, _BIAS_LIMIT)

    def integers(
        self, weight: Tensor, bias: Tensor | None, input_scale: Tensor
    ) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32] | None, NDArray[np.float32]]:
        """Return what the file holds: int8 weights, their scales, int32 bias, its scales."""
        scale = self.scale(bias, input_scale)
        steps = torch.round(weight * self.mask / self._along_axis(scale, weight)).clamp(-_WEIGHT_LIMIT, _WEIGHT_LIMIT)
        bias_scale = input_scale * scale
        values: NDArray[np.int8] = steps.cpu().numpy().astype(np.int8)
        units = None
        if bias is not None:
            rounded = torch.round(bias.reshape(-1) / bias_scale).clamp(-_BIAS_LIMIT, _BIAS_LIMIT)
            units = rounded.cpu().numpy().astype(np.int32)
        return values, scale.cpu().numpy(), units, bias_scale.cpu().numpy()

    def _along_axis(self, scale: Tensor, weight: Tensor) -> Tensor:
        shape = [1] * weight.ndim
        shape[self.axis] = -1
        return scale.reshape(shape)
