"""What the gauge reads: a level for each held-back sample, and when one reading is better than another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["GAIN_DB", "Gauge"]

GAIN_DB = 0.1  # less than this is nothing


@dataclass(frozen=True)
class Gauge:
    """`levels` in dB, one for each sample; `worst_db` is the part of the outputs that suffers most with all layers
    int8, over all samples.
    """

    levels: tuple[float, ...]
    worst_db: float

    def gain(self, before: Gauge) -> float:
        """Return the mean gain in dB over another state, measured on the same samples."""
        return float(np.mean(np.subtract(self.levels, before.levels))) if self.levels else 0.0

    def gained(self, before: Gauge) -> bool:
        """Tell whether this is better than `before` by more than GAIN_DB, and on more samples than it is worse on."""
        difference = np.subtract(self.levels, before.levels)
        return bool(difference.size and difference.mean() > GAIN_DB and np.median(difference) > 0)
