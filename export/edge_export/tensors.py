"""Named arrays as onnxruntime takes and gives them, and what is known of a value without having it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Feeds", "ValueFact"]

Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ValueFact:
    """A value's element type and shape as onnxruntime runs it; `nbytes` for one sample."""

    dtype: str
    shape: tuple[int | str, ...]
    nbytes: int
