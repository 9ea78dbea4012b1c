"""Top-1 and top-5: the share of images whose true class is the model's first answer, or in its first five."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.bootstrap import Weights

__all__ = ["TopK", "rank_of"]


def rank_of(truth: int, answers: Sequence[int]) -> int:
    """Return the place of the true class among the answers, best first and from 0; -1 if it is not there."""
    return answers.index(truth) if truth in answers else -1


@dataclass(frozen=True)
class TopK:
    """`ranks` int64 [images], as `rank_of` gives them."""

    ranks: NDArray[np.int64]

    def accuracy(self, weights: Weights, k: int) -> float:
        """Return the weighted share of images whose true class is among the first k; NaN without images."""
        total = int(weights.sum())
        hits = (self.ranks >= 0) & (self.ranks < k)
        return float((weights * hits).sum() / total) if total else float("nan")

    def per_class(self, truths: NDArray[np.int64]) -> dict[int, float]:
        """Return the top-1 accuracy of each class that occurs in `truths` int64 [images]."""
        return {int(c): float((self.ranks[truths == c] == 0).mean()) for c in np.unique(truths)}
