"""What the engine answers for one image: plain data, in pixels of the original image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.bundle.manifest import Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Box", "Prediction", "Result"]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the original image, x1 <= x2, y1 <= y2."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Prediction:
    """One thing seen: a detected object, a class of the whole image, or a segmented region (then with its box).

    `area` is the fraction of the image that a segmented region covers; None for other tasks.
    """

    name: str
    class_id: int
    confidence: float  # 0..1
    box: Box | None = None
    area: float | None = None


@dataclass(frozen=True)
class Result:
    """Everything the model said of one image.

    `mask` is uint8 [height, width] of the original image: class index (segment) or anomaly 0..255 (anomaly).
    `tensors` are the raw outputs of a Raw model, each without its batch dimension.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    score: float | None = None  # anomaly score 0..1
    mask: NDArray[np.uint8] | None = None
    tensors: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    # milliseconds spent on this image: "preprocess", "inference" (its share of the batch), "postprocess"
    timing_ms: dict[str, float] = field(default_factory=dict)
