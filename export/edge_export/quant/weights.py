"""Weights as symmetric int8 per output channel, scales searched by squared error; biases as int32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["QuantizedWeight", "quantize_bias", "quantize_weight"]

# Shrink factors tried for a channel's largest magnitude; 1.0 clips nothing.
_FACTORS = (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.78, 0.74, 0.7)
_INT32_LIMIT = 2.0**30


@dataclass(frozen=True)
class QuantizedWeight:
    """`values` int8 in the weight's own shape, `scale` float32 [channels] along `axis`; real = values * scale."""

    values: NDArray[np.int8]
    scale: NDArray[np.float32]
    axis: int

    def real(self) -> NDArray[np.float32]:
        """Return the float32 weights that the int8 ones stand for."""
        shape = [1] * self.values.ndim
        shape[self.axis] = -1
        return self.values.astype(np.float32) * self.scale.reshape(shape)


def quantize_weight(
    weight: NDArray[np.floating],
    axis: int,
    bias: NDArray[np.floating] | None = None,
    input_scale: float = 1.0,
) -> QuantizedWeight:
    """Quantize a weight along `axis`: per channel the scale with the least squared error of those tried.

    A channel whose bias would not fit int32 at input_scale * scale gets a larger scale, since a wrapped bias
    is a wrong answer while coarser weights of an almost dead channel are not.
    """
    rows = np.moveaxis(weight.astype(np.float32, copy=False), axis, 0).reshape(weight.shape[axis], -1)
    peak = np.abs(rows).max(axis=1, initial=0.0)
    least = np.full(rows.shape[0], np.inf)
    scale = np.ones(rows.shape[0], np.float32)
    floor = np.full(rows.shape[0], 1e-12, np.float32)
    if bias is not None:
        floor = np.maximum(floor, (np.abs(bias.reshape(-1)) / (_INT32_LIMIT * input_scale)).astype(np.float32))
    for factor in _FACTORS:
        tried = np.maximum(peak * np.float32(factor / 127.0), floor).astype(np.float32)
        tried[peak == 0] = np.maximum(floor[peak == 0], 1.0 / 127.0)
        q = np.clip(np.rint(rows / tried[:, None]), -127, 127)
        error = np.square(q * tried[:, None] - rows).sum(axis=1)
        better = error < least
        scale[better], least[better] = tried[better], error[better]
    shape = [1] * weight.ndim
    shape[axis] = -1
    values = np.clip(np.rint(weight.astype(np.float32) / scale.reshape(shape)), -127, 127).astype(np.int8)
    return QuantizedWeight(values, scale, axis)


def quantize_bias(
    bias: NDArray[np.floating], input_scale: float, weight_scale: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Return int32 biases at the scale onnxruntime's integer kernels accumulate in: input_scale * weight_scale."""
    steps = np.rint(bias.reshape(-1).astype(np.float64) / (np.float64(input_scale) * weight_scale.astype(np.float64)))
    return np.asarray(np.clip(steps, -(2.0**31) + 1, 2.0**31 - 1), np.int32)
