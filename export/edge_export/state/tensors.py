"""Named arrays as onnxruntime takes and gives them, and what is known of a value without having it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["CalibrationSet", "Feeds", "NoSamples", "ValueFact"]

Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ValueFact:
    """A value's element type and shape as onnxruntime runs it; `nbytes` for one sample."""

    dtype: str
    shape: tuple[int | str, ...]
    nbytes: int


class CalibrationSet(Protocol):
    """Samples for the model's inputs. `description` is for the manifest, `notes` for the report."""

    @property
    def description(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Feeds]: ...


@dataclass(frozen=True)
class NoSamples:
    """A set without samples: none was opened yet."""

    description: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Feeds]:
        return iter(())
