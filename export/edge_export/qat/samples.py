"""Samples that are given in Python: arrays, tensors, or a loader of batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_export.state import Feeds
from edge_runtime.errors import DataError

__all__ = ["ArraySamples"]

_HELD_EVERY = 8
_TOO_FEW = 3  # too small to be parted


@dataclass(frozen=True)
class ArraySamples:
    """A calibration set out of `items`, one sample (batch 1) after the other, as often as `items` can be iterated.

    `items` are dicts by input name, arrays or tensors with the batch first, or tuples that begin with the inputs.
    `limit`: at most so many samples, 0 for all. `part`: every eighth is "held", the others are for "training".
    """

    items: Iterable[Any]
    inputs: tuple[str, ...]
    limit: int = 0
    part: Literal["all", "training", "held"] = "all"
    description: str = "tensors given in Python"
    notes: tuple[str, ...] = ()

    def parted(self) -> tuple[ArraySamples, ArraySamples]:
        """Return the samples to train with, and those that are held back; both are all where there are few."""
        if len(self) <= _TOO_FEW:
            return self, self
        return dataclasses.replace(self, part="training"), dataclasses.replace(self, part="held")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Feeds]:
        for index, sample in enumerate(self._samples()):
            if self.limit and index >= self.limit:
                return
            if self.part == "all" or (index % _HELD_EVERY == 0) == (self.part == "held"):
                yield sample

    def _samples(self) -> Iterator[Feeds]:
        for item in self.items:
            feeds = self._feeds(item)
            for row in range(len(next(iter(feeds.values())))):
                yield {name: array[row : row + 1] for name, array in feeds.items()}

    def _feeds(self, item: Any) -> dict[str, NDArray[np.generic]]:
        if not isinstance(item, dict):
            values = list(item) if isinstance(item, (tuple, list)) else [item]
            if len(values) < len(self.inputs):
                raise DataError(f"expected {len(self.inputs)} tensors ({', '.join(self.inputs)}), found {len(values)}")
            item = dict(zip(self.inputs, values, strict=False))
        if missing := [name for name in self.inputs if name not in item]:
            raise DataError(f"expected a tensor for input {missing[0]!r}, found only {', '.join(map(repr, item))}")
        return {
            name: np.asarray(item[name].detach().cpu() if isinstance(item[name], Tensor) else item[name])
            for name in self.inputs
        }
