"""What a task module says of one image, before the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Prediction

__all__ = ["Seen"]


@dataclass(frozen=True)
class Seen:
    """`judged` is what the verdict rests on: None when the task has nothing to judge.

    It differs from `predictions` where a filter on reported classes must not change the verdict: the best
    class of an image stays its best class when another one is asked for.
    """

    predictions: tuple[Prediction, ...]
    judged: tuple[Prediction, ...] | None
    score: float | None = None
    mask: NDArray[np.uint8] | None = None
    # exactly one class is true of the image, so a best one below the threshold leaves it undecided
    exclusive: bool = False
    tensors: dict[str, NDArray[np.generic]] = field(default_factory=dict)
