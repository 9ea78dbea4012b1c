"""Float weights and what quantizers made of them: a search over precisions asks for the same ones often."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from edge_export.quant.select import Compute
from edge_export.quant.weights import quantize_weight
from edge_export.state import QuantizedWeight

__all__ = ["WeightCache"]

_Made = TypeVar("_Made")


@dataclass
class WeightCache:
    """Float weights by name, and their quantized forms once made.

    `rounded` and `shifts` are a draft's: by node name, weights that were not rounded to nearest, and what is added to
    the bias of a node that computes in int8.
    """

    arrays: Mapping[str, NDArray[np.generic]]
    rounded: Mapping[str, QuantizedWeight] = field(default_factory=dict)
    shifts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    _made: dict[Hashable, object] = field(default_factory=dict)

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what `make` gave for this key, the same object each time."""
        if key not in self._made:
            self._made[key] = make()
        return cast("_Made", self._made[key])

    def floats(self, item: Compute) -> NDArray[np.float32]:
        """Return a node's float weights."""
        return np.asarray(self.arrays[item.weight], np.float32)

    def quantized(self, item: Compute, input_scale: float) -> QuantizedWeight:
        """Return the int8 form of the weights of a node that computes in int8."""
        if item.name in self.rounded:
            return self.rounded[item.name]
        bias = self.bias(item)
        return self._nearest(item, bias, input_scale) if bias is not None else self.stored(item)

    def stored(self, item: Compute) -> QuantizedWeight:
        """Return the int8 form of the weights of a node that computes in floats."""
        return self.rounded[item.name] if item.name in self.rounded else self._nearest(item, None, 0.0)

    def bias(self, item: Compute) -> NDArray[np.float32] | None:
        """Return the bias of a node that computes in int8, float32 [channels], None where there is none."""
        bias = np.asarray(self.arrays[item.bias], np.float32) if item.bias else None
        shift = self.shifts.get(item.name)
        if shift is None:
            return bias
        return shift if bias is None else np.asarray(bias + shift.reshape(bias.shape), np.float32)

    def _nearest(self, item: Compute, bias: NDArray[np.float32] | None, input_scale: float) -> QuantizedWeight:
        key = ("int8", item.weight, item.axis, item.bias if bias is not None else None, input_scale)
        return self.once(key, lambda: quantize_weight(self.floats(item), item.axis, bias, input_scale or 1.0))
