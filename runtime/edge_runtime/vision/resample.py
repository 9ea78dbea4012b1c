"""Pillow's antialiased resampling in numpy, bit for bit equal to `PIL.Image.resize` on uint8 images.

The source is Pillow's src/libImaging/Resample.c: a horizontal pass, rounded and clipped to uint8, then a
vertical pass; a pass whose size does not change is skipped. Coefficients are fixed-point numbers of 22
fractional bits. They and the pixels are small integers, so their float64 dot products are exact (every sum
is below 2**53) and the result depends neither on the order of the additions nor on the machine.

Pillow 13 takes the vertical pass first where the height shrinks much more than the width (its pull request
9549), which moves such images by a few levels. The order here is that of all Pillows before, with which
today's models were trained; it equals resizing in two steps, the width first, under any Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Filter", "resample"]

Filter = Literal["bilinear", "bicubic", "lanczos"]

_PRECISION_BITS = 32 - 8 - 2  # Resample.c: 8 bits of pixel, 2 bits of headroom for negative lobes


def resample(image: NDArray[np.uint8], width: int, height: int, kernel: Filter) -> NDArray[np.uint8]:
    """Return uint8 `image` [H, W] or [H, W, C], C <= 4, resized to `height` x `width` pixels.

    The image itself comes back when it has that size already.
    """
    if image.shape[1] != width:
        columns = cv2.transpose(image)  # the vertical pass reads whole rows, so the horizontal one borrows it
        image = np.asarray(cv2.transpose(_vertical(columns, width, kernel)), np.uint8)
    if image.shape[0] != height:
        image = _vertical(image, height, kernel)
    return image


def _vertical(image: NDArray[np.generic], height: int, kernel: Filter) -> NDArray[np.uint8]:
    rows = np.ascontiguousarray(image).reshape(image.shape[0], -1)
    result = np.empty((height, rows.shape[1]), np.uint8)
    for index, (first, weights) in enumerate(_coefficients(image.shape[0], height, kernel)):
        # Converted a few rows at a time: the whole image in float64 would cost eight times its memory.
        total = weights @ rows[first : first + len(weights)].astype(np.float64)
        total += 0.5
        np.clip(total, 0.0, 255.0, out=total)
        result[index] = total  # the cast truncates, which is Pillow's shift once negative sums are gone
    return result.reshape(height, *image.shape[1:])


@lru_cache(maxsize=32)
def _coefficients(in_size: int, out_size: int, kernel: Filter) -> tuple[tuple[int, NDArray[np.float64]], ...]:
    """For each output index the first input index and the weights from there on (precompute_coeffs).

    Pillow's arithmetic step by step: numpy's own sum and sine may differ in the last bit of a double.
    """
    weigh, radius = _KERNELS[kernel]
    scale = in_size / out_size
    stretch = max(scale, 1.0)
    support = radius * stretch
    table = []
    for index in range(out_size):
        center = (index + 0.5) * scale
        first = max(int(center - support + 0.5), 0)
        last = min(int(center + support + 0.5), in_size)
        weights = [weigh((x - center + 0.5) * (1.0 / stretch)) for x in range(first, last)]
        total = 0.0
        for weight in weights:
            total += weight
        if total != 0.0:
            weights = [weight / total for weight in weights]
        fixed = [int(math.copysign(0.5, weight) + weight * (1 << _PRECISION_BITS)) for weight in weights]
        row = np.array(fixed, np.float64) / (1 << _PRECISION_BITS)
        row.flags.writeable = False
        table.append((first, row))
    return tuple(table)


def _bilinear(x: float) -> float:
    return max(1.0 - abs(x), 0.0)


def _bicubic(x: float) -> float:
    """Keys' kernel with a = -0.5, in the form of Resample.c."""
    a = -0.5
    x = abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return 0.0


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3.0) if -3.0 <= x < 3.0 else 0.0


def _sinc(x: float) -> float:
    x *= math.pi
    return math.sin(x) / x if x else 1.0


_KERNELS: dict[Filter, tuple[Callable[[float], float], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
