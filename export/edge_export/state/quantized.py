"""What calibration and the repairs give: int8 parameters of activations and weights, and how near they are to FP32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["QuantParams", "QuantizedWeight", "Sqnr"]

GAIN_DB = 0.1  # less than this is nothing


@dataclass(frozen=True)
class QuantParams:
    """Asymmetric uint8: real = (q - zero_point) * scale, q in 0..255.

    `method` says what gave the range ("" where nobody asked), `outliers` the channels that alone reach far.
    """

    scale: float
    zero_point: int
    method: str = ""
    outliers: tuple[int, ...] = ()


@dataclass(frozen=True)
class QuantizedWeight:
    """`values` int8 in the weight's own shape, `scale` float32 [channels] along `axis`; real = values * scale."""

    values: NDArray[np.int8]
    scale: NDArray[np.float32]
    axis: int

    def real(self) -> NDArray[np.float32]:
        """Return the float32 weights that the int8 ones stand for."""
        shape = [1] * self.values.ndim
        shape[self.axis] = -1
        return self.values.astype(np.float32) * self.scale.reshape(shape)


@dataclass(frozen=True)
class Sqnr:
    """How near int8 is to FP32, the outputs' signal to quantization noise ratio: `levels` in dB, one for each sample;
    `worst_db` is the part of the outputs that suffers most with all layers int8, over all samples.
    """

    levels: tuple[float, ...]
    worst_db: float

    def gain(self, before: Sqnr) -> float:
        """Return the mean gain in dB over another state, measured on the same samples."""
        return float(np.mean(np.subtract(self.levels, before.levels))) if self.levels else 0.0

    def gained(self, before: Sqnr) -> bool:
        """Tell whether this is better than `before` by more than GAIN_DB, and on more samples than it is worse on."""
        difference = np.subtract(self.levels, before.levels)
        return bool(difference.size and difference.mean() > GAIN_DB and np.median(difference) > 0)
