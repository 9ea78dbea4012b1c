"""Per-channel statistics of tensors, summed over samples in fixed memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.quant.stream import Stream
from edge_export.state import Feeds

__all__ = ["MAGNITUDES", "ChannelStatistics", "channel_statistics", "magnitude_bins"]

# Four bins an octave, 2^-20 to 2^20: the upper bits of a float32 are its logarithm (IEEE 754).
_OCTAVES, _SHIFT = 40, 21
_LOWEST = (127 - _OCTAVES // 2) * 4
_BINS = 4 * _OCTAVES
_EDGES = (np.arange(_LOWEST, _LOWEST + _BINS + 1, dtype=np.uint32) << np.uint32(_SHIFT)).view(np.float32)
MAGNITUDES: NDArray[np.float64] = (0.5 * (_EDGES[:-1].astype(np.float64) + _EDGES[1:])).astype(np.float64)


def magnitude_bins(rows: NDArray[np.float32]) -> NDArray[np.int32]:
    """Count |x| per row: [rows, bins of MAGNITUDES]; zeros and smaller values are not counted."""
    bits = rows.view(np.uint32) & np.uint32(0x7FFFFFFF)
    bins = np.clip((bits >> np.uint32(_SHIFT)).astype(np.int32) - (_LOWEST - 1), 0, _BINS)
    bins += (np.arange(len(rows), dtype=np.int32) * (_BINS + 1))[:, None]
    counts = np.bincount(bins.reshape(-1), minlength=len(rows) * (_BINS + 1))
    return np.asarray(counts.reshape(len(rows), _BINS + 1)[:, 1:], np.int32)


@dataclass
class ChannelStatistics:
    """Sums over all elements of each channel: float64 [channels] each; `low`/`high` are the extremes seen."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    magnitudes: NDArray[np.int32]  # [channels, bins], see magnitude_bins
    count: int = 0

    @classmethod
    def empty(cls, channels: int) -> ChannelStatistics:
        """Return statistics of nothing."""
        zeros = np.zeros(channels)
        return cls(
            np.full(channels, np.inf),
            np.full(channels, -np.inf),
            zeros,
            zeros.copy(),
            np.zeros((channels, _BINS), np.int32),
        )

    def see(self, values: NDArray[np.generic], axis: int) -> None:
        """Add one sample's tensor whose channels lie along `axis`."""
        rows = np.ascontiguousarray(np.moveaxis(np.asarray(values, np.float32), axis, 0)).reshape(len(self.low), -1)
        if not rows.size:
            return
        self.low = np.minimum(self.low, rows.min(axis=1))
        self.high = np.maximum(self.high, rows.max(axis=1))
        self.total += rows.sum(axis=1, dtype=np.float64)
        self.squares += np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        self.magnitudes += magnitude_bins(rows)
        self.count += rows.shape[1]

    @property
    def mean(self) -> NDArray[np.float64]:
        """E[x] per channel."""
        return self.total / max(1, self.count)

    @property
    def energy(self) -> NDArray[np.float64]:
        """E[x^2] per channel."""
        return self.squares / max(1, self.count)

    @property
    def peak(self) -> NDArray[np.float64]:
        """The largest |x| per channel; 0 where nothing was seen."""
        return np.maximum(np.maximum(-self.low, self.high), 0.0)


def channel_statistics(
    model: onnx.ModelProto, axes: Mapping[str, int], samples: Iterable[Feeds]
) -> dict[str, ChannelStatistics]:
    """Run the float model over samples and return the statistics of each tensor of `axes` along its axis."""
    found: dict[str, ChannelStatistics] = {}

    def look(name: str, values: NDArray[np.generic]) -> None:
        axis = axes[name]
        if name not in found:
            found[name] = ChannelStatistics.empty(values.shape[axis])
        found[name].see(values, axis)

    with Stream(model, set(axes)) as stream:
        stream.run_all(samples, look)
    return found
