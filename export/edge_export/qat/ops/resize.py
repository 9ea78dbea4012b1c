"""Resize and Upsample, nearest and linear, axis by axis: output coordinates become input ones by ONNX's formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_export.qat.ops.node import Inputs, Node, numbers

__all__ = ["linear_along", "resize"]


def resize(node: Node, inputs: Inputs) -> Tensor:
    """Resize (opset 10 on) and Upsample; modes nearest and linear, one axis after the other."""
    x = inputs[0]
    if x is None:
        raise ValueError("the first input is not given")
    mode = node.get("mode", "nearest")
    if mode not in ("nearest", "linear") or node.get("antialias", 0):
        raise NotImplementedError(f"Resize with mode {mode}{' and antialias' if node.get('antialias', 0) else ''}")
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotImplementedError("Resize that keeps the aspect ratio")
    axes = [int(axis) % x.ndim for axis in node.get("axes") or range(x.ndim)]
    scales, sizes = _wanted(node, inputs, [x.shape[axis] for axis in axes])
    for axis, scale, size in zip(axes, scales, sizes, strict=True):
        if size != x.shape[axis] or scale != 1.0:
            x = _along(x, axis, _coordinates(node, x.shape[axis], size, scale), node, mode)
    return x


def _wanted(node: Node, inputs: Inputs, before: list[int]) -> tuple[list[float], list[int]]:
    """Return the scale and the output size of each axis."""
    sizes = numbers(inputs, 3)
    if sizes:
        return [size / old for size, old in zip(sizes, before, strict=True)], sizes
    slot = 1 if node.op == "Upsample" or node.opset < 11 else 2
    given = inputs[slot] if slot < len(inputs) else None
    scales = [float(s) for s in (given.tolist() if given is not None else node.get("scales"))]
    return scales, [math.floor(old * scale) for old, scale in zip(before, scales, strict=True)]


def _coordinates(node: Node, before: int, after: int, scale: float) -> NDArray[np.float64]:
    """Return, for each output index, the place in the input where its value is."""
    x = np.arange(after, dtype=np.float64)
    old = node.op == "Upsample" or node.opset < 11
    kind = node.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    if kind == "asymmetric":
        return x / scale
    if kind == "align_corners":
        return x * (before - 1) / (after - 1) if after > 1 else np.zeros(after)
    if kind == "pytorch_half_pixel" and after == 1:
        return np.zeros(after)
    if kind == "half_pixel_symmetric":
        adjustment = after / (scale * before)
        return before / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
    if kind in ("half_pixel", "pytorch_half_pixel"):
        return (x + 0.5) / scale - 0.5
    raise NotImplementedError(f"Resize with coordinate_transformation_mode {kind}")


_NEAREST: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _along(x: Tensor, axis: int, places: NDArray[np.float64], node: Node, mode: str) -> Tensor:
    last = x.shape[axis] - 1
    if mode == "nearest":
        old = node.op == "Upsample" or node.opset < 11
        rounding = _NEAREST[node.get("nearest_mode", "floor" if old else "round_prefer_floor")]
        return x.index_select(axis, _index(rounding(places), last, x))
    return linear_along(x, axis, places)


def linear_along(x: Tensor, axis: int, places: NDArray[np.float64]) -> Tensor:
    """Return the values of `x` at fractional places along one axis, those outside being the border's."""
    last = x.shape[axis] - 1
    places = places.clip(0, last)
    low = np.floor(places)
    share = torch.as_tensor((places - low).astype(np.float32), device=x.device)
    share = share.reshape(-1, *[1] * (x.ndim - 1 - axis))
    before, behind = (x.index_select(axis, _index(place, last, x)) for place in (low, low + 1))
    return before * (1 - share) + behind * share


def _index(places: NDArray[np.float64], last: int, x: Tensor) -> Tensor:
    return torch.as_tensor(places.clip(0, last).astype(np.int64), device=x.device)
