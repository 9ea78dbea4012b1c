"""AUROC of anomaly scores: how often a defective image scores higher than a good one (ties count half).

Equal to the area under the ROC curve (Hanley and McNeil, Radiology 143, 1982); the figure MVTec AD is reported in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.bootstrap import Weights

__all__ = ["Auroc"]


@dataclass(frozen=True)
class Auroc:
    """`scores` float64 [images], higher is worse; `defective` bool [images]."""

    scores: NDArray[np.float64]
    defective: NDArray[np.bool_]

    def area(self, weights: Weights) -> float:
        """Return the area, 0..1; NaN unless both kinds of image are there."""
        _, place = np.unique(self.scores, return_inverse=True)
        bad = np.bincount(place, weights=weights * self.defective)
        good = np.bincount(place, weights=weights * ~self.defective)
        pairs = bad.sum() * good.sum()
        below = np.cumsum(good) - good
        return float((bad * (below + good / 2)).sum() / pairs) if pairs else float("nan")
