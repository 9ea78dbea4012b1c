"""How far two sets of outputs are apart: signal-to-noise ratio, per part of the outputs that means one thing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.parts import row_parts
from edge_runtime.bundle.postprocess_spec import Classify, Postprocess

__all__ = ["CEILING_DB", "NoiseMeter", "decibels"]

CEILING_DB = 120.0  # equal to the last bit; JSON has no infinity
_CLOSE, _LEAST = 1e-3, 1e-9  # of probabilities: how near their sum is to 1, and what is as good as 0


def decibels(noise_to_signal: float) -> float:
    """Return 10 log10(signal / noise), at most CEILING_DB."""
    return CEILING_DB if noise_to_signal <= 10 ** (-CEILING_DB / 10) else -10.0 * math.log10(noise_to_signal)


class NoiseMeter:
    """Sums signal and noise energy over samples. A detector's boxes and scores are different parts: box
    coordinates are hundreds of pixels and would drown the scores, which are what breaks first. A classifier's
    probabilities are turned back to logits: behind a Softmax or Sigmoid sure answers hide all errors, and a few
    doubtful ones decide the figure.
    """

    def __init__(self, postprocess: Postprocess) -> None:
        self._postprocess = postprocess
        self._signal: dict[str, float] = {}
        self._noise: dict[str, float] = {}

    def see(self, expected: Mapping[str, NDArray[np.generic]], found: Mapping[str, NDArray[np.generic]]) -> None:
        """Add one sample's outputs; arrays that are not floats are skipped, wrong shapes count as all noise."""
        for name, reference in expected.items():
            if reference.dtype.kind != "f":
                continue
            other = found[name]
            if isinstance(self._postprocess, Classify) and reference.shape == other.shape:
                reference, other = _logits(reference, other)
            for part, a, b in self._parts(name, reference, other):
                told = np.isfinite(a)  # what FP32 itself does not know is not held against the other
                a64 = a[told].astype(np.float64)
                signal = float(np.square(a64).sum())
                noise = float(np.square(a64 - b[told].astype(np.float64)).sum()) if a.shape == b.shape else signal
                self._signal[part] = self._signal.get(part, 0.0) + signal
                self._noise[part] = self._noise.get(part, 0.0) + (noise if math.isfinite(noise) else signal * 1e6)

    def ratios(self) -> dict[str, float]:
        """Return noise / signal by part; a part whose signal is all zero counts its noise as such."""
        return {part: self._noise[part] / (signal or 1.0) for part, signal in self._signal.items()}

    @property
    def worst(self) -> float:
        """The largest noise / signal of all parts (0 when there is no float output)."""
        return max(self.ratios().values(), default=0.0)

    def _parts(
        self, name: str, a: NDArray[np.generic], b: NDArray[np.generic]
    ) -> Iterable[tuple[str, NDArray[np.generic], NDArray[np.generic]]]:
        rows = row_parts(self._postprocess, a.shape) if a.shape == b.shape else None
        if rows is None:
            return [(name, a, b)]
        axis, parts = rows
        return [(f"{name} {part}", a.take(places, axis), b.take(places, axis)) for part, places in parts.items()]


def _logits(
    reference: NDArray[np.generic], other: NDArray[np.generic]
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Return both as logits where the reference holds probabilities [samples, classes]; else as they are."""
    a, b = reference.astype(np.float64), other.astype(np.float64)
    if a.ndim != 2 or a.shape[1] < 2 or not (np.isfinite(b).all() and (a >= 0).all() and (a <= 1 + _CLOSE).all()):
        return reference, other
    softmax = np.abs(a.sum(axis=1) - 1).max(initial=0.0) < _CLOSE
    left, right = (np.log(np.clip(p, _LEAST, 1.0)) for p in (a, b))
    if softmax:  # up to a constant, which changes no answer
        return left - left.mean(axis=1, keepdims=True), right - right.mean(axis=1, keepdims=True)
    return left - np.log1p(-np.clip(a, 0.0, 1 - _LEAST)), right - np.log1p(-np.clip(b, 0.0, 1 - _LEAST))
