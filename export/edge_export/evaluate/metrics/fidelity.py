"""How faithfully one model repeats another's answers: no labels needed, and no luck can raise it.

- sqnr_db, per output: 10 log10(sum of reference^2 / sum of difference^2) over all samples.
- agreement: share of images with the same first class.
- box_f1: 2 * pairs / (boxes of one + boxes of the other); a pair has the same class and IoU >= 0.5, both
boxes above the reporting threshold.
- mask_f1, points_f1, oriented_f1: the same, a pair's masks, key points or turned boxes being alike by 0.75 or more
(IoU, of key points OKS): at 0.5 a turned square is every other one of its size, and half a mask is a whole one.
- mask mIoU: segmentation.MaskCounts with the reference's mask as the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.metrics.bootstrap import Weights
from edge_export.evaluate.metrics.boxes import Boxes, Objects, match

__all__ = ["SAME_BOX", "SAME_PART", "BoxAgreement", "SameAnswers", "SignalNoise", "box_pairs", "signal_noise"]

SAME_BOX, SAME_PART = 0.5, 0.75


def signal_noise(reference: NDArray[np.generic], other: NDArray[np.generic]) -> tuple[float, float, float]:
    """Return (sum of squares of the reference, sum of squared differences, largest difference) of two
    tensors.

    Values that are not finite in the reference are left out; where only the other is not finite, the noise is
    infinite. ValueError for shapes that differ.
    """
    if reference.shape != other.shape:
        raise ValueError(f"tensors must have the same shape, found {reference.shape} and {other.shape}")
    left, right = reference.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    judged = np.isfinite(left)
    left, right = left[judged], right[judged]
    if not np.isfinite(right).all():
        return float(left @ left), float("inf"), float("inf")
    difference = right - left
    return float(left @ left), float(difference @ difference), float(np.abs(difference).max(initial=0.0))


@dataclass(frozen=True)
class SignalNoise:
    """Sums per sample, float64 [samples], of one output."""

    signal: NDArray[np.float64]
    noise: NDArray[np.float64]

    def sqnr_db(self, weights: Weights) -> float:
        """Return the ratio in dB: inf for equal tensors, -inf for no signal or noise without bounds."""
        counted = weights > 0
        signal = float(weights[counted] @ self.signal[counted])
        noise = float(weights[counted] @ self.noise[counted])
        if noise == 0.0:
            return float("inf")
        return float("-inf") if signal == 0.0 or np.isinf(noise) else float(10.0 * np.log10(signal / noise))


@dataclass(frozen=True)
class SameAnswers:
    """`same` bool [images]: both gave the same first class."""

    same: NDArray[np.bool_]

    def share(self, weights: Weights) -> float:
        """Return the weighted share of images that agree."""
        total = int(weights.sum())
        return float(weights[self.same].sum() / total) if total else float("nan")


@dataclass(frozen=True)
class BoxAgreement:
    """Counts per image, int64 [images]: matched pairs, boxes of the reference, boxes of the other."""

    pairs: NDArray[np.int64]
    reference: NDArray[np.int64]
    other: NDArray[np.int64]

    def f1(self, weights: Weights) -> float:
        """Return F1 over all images; NaN when neither model reported anything."""
        total = float(weights @ self.reference + weights @ self.other)
        return float(2.0 * (weights @ self.pairs) / total) if total else float("nan")


def box_pairs(
    reference: Boxes, other: Boxes, least: float = SAME_BOX, likeness: NDArray[np.float64] | None = None
) -> tuple[int, int, int]:
    """Return (pairs, boxes of the reference, boxes of the other) for one image.

    `likeness` [others, references], of at least `least` for a pair, is the IoU of boxes where it is not given.
    """
    truth = Objects(reference.boxes, reference.classes, np.zeros(len(reference.classes), dtype=np.bool_))
    found = match(other, truth, np.array([least]), len(other.classes), likeness)
    return int(found.hit.sum()), len(reference.classes), len(other.classes)
