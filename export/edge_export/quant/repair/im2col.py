"""The columns that a layer's weights meet: patches of a Conv's input (im2col), rows of a MatMul's, sampled."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph import attribute

__all__ = ["Window", "im2col", "window_of"]

Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def window_of(node: onnx.NodeProto, kernel: tuple[int, ...], shape: tuple[int, ...]) -> Window:
    """Return a Conv's (kernel, strides, dilations, pads) for an input of spatial `shape`; auto_pad is resolved."""
    ones = [1] * len(kernel)
    strides = tuple(int(v) for v in _ints(node, "strides", ones))
    dilations = tuple(int(v) for v in _ints(node, "dilations", ones))
    pads = tuple(int(v) for v in _ints(node, "pads", [0] * (2 * len(kernel))))
    auto = attribute(node, "auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        begin, end = [], []
        for size, k, s, d in zip(shape, kernel, strides, dilations, strict=True):
            total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
            small, large = total // 2, total - total // 2
            begin.append(small if auto == b"SAME_UPPER" else large)
            end.append(large if auto == b"SAME_UPPER" else small)
        pads = (*begin, *end)
    elif auto == b"VALID":
        pads = (0,) * (2 * len(kernel))
    return kernel, strides, dilations, pads


def _ints(node: onnx.NodeProto, name: str, default: list[int]) -> list[int]:
    value = attribute(node, name, default)
    return list(value) if isinstance(value, (list, tuple)) else default


def im2col(
    values: NDArray[np.generic], window: Window, count: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return at most `count` patches [patches, channels, kernel elements] of `values` [batch, channels, ...spatial].

    All of them where they are not more, in order; else a random part, in order.
    """
    kernel, strides, dilations, pads = window
    rank = len(kernel)
    padded = np.pad(
        np.asarray(values, np.float32),
        ((0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))),
    )
    out = [(padded.shape[2 + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in range(rank)]
    total = int(np.prod([len(padded), *out]))
    chosen = np.arange(total) if total <= count else np.sort(generator.choice(total, count, replace=False))
    batch, *places = np.unravel_index(chosen, (len(padded), *out))
    offsets = np.stack(np.meshgrid(*[np.arange(k) for k in kernel], indexing="ij"), 0).reshape(rank, -1)
    index = tuple(places[i][:, None] * strides[i] + offsets[i][None, :] * dilations[i] for i in range(rank))
    # advanced indices apart by a slice: [patches, kernel, channels]
    where = (batch[:, None], np.s_[:], *index)
    found = padded[where]
    return np.ascontiguousarray(np.moveaxis(found, -1, 1))
