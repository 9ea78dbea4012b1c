"""95 % confidence intervals by the bootstrap over images (Efron and Tibshirani, 1993).

Every metric here is a function of image weights: how many times each image is counted. All ones give the
figure itself; drawing the images anew with replacement, which is drawing weights, gives its scatter. The
difference of two models is resampled with the same weights for both, so what is hard for both cancels out
(paired).

The interval is the bias-corrected one (chapter 14.3, without acceleration): resampled mAP tends to lie above the
figure itself where classes are rare, and plain percentiles would leave the figure at the interval's edge.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROUNDS", "Statistic", "Weights", "interval", "ones"]

Weights = NDArray[np.int64]
Statistic = Callable[[Weights], float]

ROUNDS = 500
_NORMAL = NormalDist()


def ones(images: int) -> Weights:
    """Return the weights that count every image once."""
    return np.ones(images, dtype=np.int64)


def interval(statistic: Statistic, images: int, rounds: int = ROUNDS, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of a statistic over `images` images, always the same for the same seed.

    A resample for which the statistic is not defined (NaN: no object was drawn) is left out; with none left,
    or with fewer than two images, the interval is NaN, NaN.
    """
    if images < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    chances = np.full(images, 1.0 / images)
    values = np.array([statistic(generator.multinomial(images, chances)) for _ in range(rounds)])
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan"), float("nan")
    centre = statistic(ones(images))
    below = float(np.mean(values < centre) + np.mean(values == centre) / 2)
    edge = 0.5 / len(values)
    bias = _NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    ends = [_NORMAL.cdf(2 * bias + sign * _NORMAL.inv_cdf(0.975)) for sign in (-1, 1)]
    low, high = np.quantile(values, ends)
    return float(low), float(high)
