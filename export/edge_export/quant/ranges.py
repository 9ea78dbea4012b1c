"""The range of an activation: a streaming histogram, and the clipping range with the least squared error.

The search follows the mean-squared-error criterion of Nagel et al., "A White Paper on Neural Network
Quantization" (arXiv 2106.08295, section 3.1): E = sum p(x) (x - dequant(quant(x)))^2 over a histogram of x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "Histogram", "QuantParams", "best_range", "params_of_range", "silu"]

BINS = 2048


@dataclass(frozen=True)
class QuantParams:
    """Asymmetric uint8: real = (q - zero_point) * scale, q in 0..255."""

    scale: float
    zero_point: int


def params_of_range(low: float, high: float) -> QuantParams:
    """Return the uint8 parameters of [low, high]; zero is made exactly representable (padding needs it)."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if high - low < 1e-12:
        return QuantParams(1.0, 0)
    scale = float(np.float32((high - low) / 255.0))
    if scale < 1e-30:  # a range of denormals cannot be told from zero
        return QuantParams(1.0, 0)
    return QuantParams(scale, int(np.clip(round(-low / scale), 0, 255)))


@dataclass
class Histogram:
    """A tensor's values over all calibration samples, in fixed memory: first min/max, then counts.

    `see_range` every sample, then `see_counts` every sample again: the bins span exactly what was seen.
    """

    low: float = np.inf
    high: float = -np.inf
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def see_range(self, values: NDArray[np.generic]) -> None:
        """Widen the range to hold `values` (any shape); values that are not finite raise ValueError."""
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("values that are not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)

    def see_counts(self, values: NDArray[np.generic]) -> None:
        """Count `values` (any shape) into the bins of the range that was seen."""
        if values.size == 0 or self.high <= self.low:
            return
        flat = values.reshape(-1).astype(np.float32, copy=False)
        bins = ((flat - np.float32(self.low)) * np.float32(BINS / (self.high - self.low))).astype(np.int32)
        self.counts += np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)

    @property
    def centers(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        step = (self.high - self.low) / BINS
        return np.asarray(self.low + step * (np.arange(BINS) + 0.5), np.float64)


def silu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x * sigmoid(x), computed so that large negative values do not overflow."""
    return np.asarray(x * 0.5 * (1.0 + np.tanh(0.5 * x)))


def best_range(
    histogram: Histogram, reader: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
) -> tuple[float, float]:
    """Return the (low, high) whose uint8 quantization has the least mean squared error over the histogram.

    With `reader` (an elementwise function that alone reads the tensor) the error is measured behind it: a SiLU
    makes nothing of large negative values, so no bits are spent on them.
    """
    low, high = histogram.low, histogram.high
    if not (np.isfinite(low) and np.isfinite(high)) or high <= low or not histogram.counts.any():
        return (min(low, 0.0), max(high, 0.0)) if np.isfinite(low) and np.isfinite(high) else (0.0, 0.0)
    filled = histogram.counts > 0
    x, weight = histogram.centers[filled], histogram.counts[filled].astype(np.float64)
    # The extremes are the real ones, not bin centres: clipping them must cost what it costs.
    x[0], x[-1] = low, high
    look = reader or (lambda values: values)
    exact = look(x)

    def error(candidate: tuple[float, float]) -> float:
        params = params_of_range(*candidate)
        q = np.clip(np.rint(x / params.scale) + params.zero_point, 0, 255)
        return float(weight @ np.square(look((q - params.zero_point) * params.scale) - exact))

    best, least = (low, high), error((low, high))
    # Coordinate descent over both ends: from wide steps to narrow ones, each end shrinks on its own.
    for step in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99):
        improved = True
        while improved:
            improved = False
            for candidate in (
                (best[0] * step, best[1] * step),
                (best[0] * step, best[1]),
                (best[0], best[1] * step),
            ):
                if candidate != best and (found := error(candidate)) < least * (1 - 1e-9):
                    best, least, improved = candidate, found, True
    return best
