"""What a task module says of one image, before the verdict."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Prediction
from edge_runtime.vision.settings import Settings

__all__ = ["Seen", "chosen", "reported"]


@dataclass(frozen=True)
class Seen:
    """`judged` is what the verdict rests on: None when the task has nothing to judge.

    `predictions` is the part of it that is reported: --classes and --max-det must not change the verdict.
    """

    predictions: tuple[Prediction, ...]
    judged: tuple[Prediction, ...] | None
    score: float | None = None
    mask: NDArray[np.uint8] | None = None
    # exactly one class is true of the image, so a best one below the threshold leaves it undecided
    exclusive: bool = False
    tensors: dict[str, NDArray[np.generic]] = field(default_factory=dict)


def chosen(judged: Sequence[Prediction], settings: Settings) -> Iterator[int]:
    """Which of `judged` (best first) are reported: the first `max_det` of the classes asked for."""
    wanted = (i for i, found in enumerate(judged) if not settings.classes or found.class_id in settings.classes)
    return itertools.islice(wanted, settings.max_det)


def reported(judged: Sequence[Prediction], settings: Settings) -> tuple[Prediction, ...]:
    """The part of `judged` that is reported."""
    if not settings.classes:
        return tuple(judged[: settings.max_det])
    return tuple(judged[index] for index in chosen(judged, settings))
