"""Weights as symmetric int8 per output channel, scales searched by squared error; biases as int32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_export.state import QuantizedWeight

__all__ = ["quantize_bias", "quantize_weight"]

# Shrink factors tried for a channel's largest magnitude, 1.0 clips nothing; then finer ones round the best.
_FACTORS = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5)
_FINER = (0.02, 0.01, -0.01, -0.02)
_CHUNK = 1 << 16  # values searched at a time: they and what is made of them stay in the processor's cache
_INT32_LIMIT = 2.0**30


def quantize_weight(
    weight: NDArray[np.floating],
    axis: int,
    bias: NDArray[np.floating] | None = None,
    input_scale: float = 1.0,
) -> QuantizedWeight:
    """Quantize a weight along `axis`: per channel the scale with the least squared error of those tried.

    A channel whose bias would not fit int32 at input_scale * scale gets a larger scale, since a wrapped bias
    is a wrong answer while coarser weights of an almost dead channel are not. Beside the result, memory is that of
    one chunk of channels (and a transposed copy where `axis` is not the first).
    """
    channels = weight.shape[axis]
    rows = np.moveaxis(weight, axis, 0).reshape(channels, -1)
    floor = np.full(channels, 1e-12, np.float32)
    if bias is not None:
        floor = np.maximum(floor, (np.abs(bias.reshape(-1)) / (_INT32_LIMIT * input_scale)).astype(np.float32))
    scale = np.ones(channels, np.float32)
    values = np.empty(rows.shape, np.int8)
    step = max(1, _CHUNK // max(1, rows.shape[1]))
    for start in range(0, channels, step):
        part = slice(start, start + step)
        chunk = rows[part].astype(np.float32)
        scale[part] = _search_scales(chunk, floor[part])
        values[part] = np.clip(np.rint(chunk / scale[part, None]), -127, 127)
    moved = values.reshape(channels, *np.delete(weight.shape, axis))
    return QuantizedWeight(np.ascontiguousarray(np.moveaxis(moved, 0, axis)), scale, axis)


def _search_scales(rows: NDArray[np.float32], floor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scale of each row with the least squared error, none below its `floor`."""
    peak = np.abs(rows).max(axis=1, initial=0.0)
    dead = peak == 0
    buffer = np.empty_like(rows)
    factor = np.ones(rows.shape[0], np.float32)
    scale, least = np.ones_like(factor), np.full(rows.shape[0], np.inf)

    def attempt(factors: NDArray[np.float32]) -> None:
        tried = np.maximum(peak * (factors / np.float32(127.0)), floor)
        tried[dead] = np.maximum(floor[dead], np.float32(1.0 / 127.0))
        np.divide(rows, tried[:, None], out=buffer)
        np.rint(buffer, out=buffer)
        np.clip(buffer, -127, 127, out=buffer)
        np.multiply(buffer, tried[:, None], out=buffer)
        np.subtract(buffer, rows, out=buffer)
        error = np.einsum("ij,ij->i", buffer, buffer)
        better = error < least
        factor[better], scale[better], least[better] = factors[better], tried[better], error[better]

    for coarse in _FACTORS:
        attempt(np.full_like(factor, coarse))
    middle = factor.copy()
    for change in _FINER:
        attempt(np.minimum(middle + np.float32(change), np.float32(1.0)))
    return scale


def quantize_bias(
    bias: NDArray[np.floating], input_scale: float, weight_scale: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Return int32 biases at the scale onnxruntime's integer kernels accumulate in: input_scale * weight_scale."""
    steps = np.rint(bias.reshape(-1).astype(np.float64) / (np.float64(input_scale) * weight_scale.astype(np.float64)))
    return np.asarray(np.clip(steps, -(2.0**31) + 1, 2.0**31 - 1), np.int32)
