"""What two models' answers to the same images are compared by: scores, and the images whose answer changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge_runtime.bundle.manifest import Accuracy

__all__ = ["Comparison", "Flip", "Flips", "Score"]


@dataclass(frozen=True)
class Score:
    """One figure with its 95 % interval (NaN for a single image), and how many images it is from."""

    metric: str
    value: float
    low: float
    high: float
    images: int
    detail: dict[str, float] = field(default_factory=dict)

    def row(self, data: str, fp32: float | None = None) -> Accuracy:
        """Return the manifest's row of this figure; `fp32` is FP32's on the same data, None where it has none."""
        return Accuracy(self.metric, data, fp32, self.value, _finite(self.low), _finite(self.high))


@dataclass(frozen=True)
class Comparison:
    """FP32 and the bundle on the same images; `difference` is bundle less FP32, score by score."""

    data: str
    fp32: tuple[Score, ...]
    bundle: tuple[Score, ...]
    difference: tuple[Score, ...]
    fidelity: tuple[Score, ...]
    notes: tuple[str, ...]

    def accuracy(self) -> tuple[Accuracy, ...]:
        """Return the manifest's rows, figures that are not defined left out."""
        pairs = zip(self.fp32, self.bundle, strict=True)
        rows = [b.row(self.data, _finite(a.value)) for a, b in pairs if math.isfinite(b.value)]
        rows += [score.row(self.data) for score in self.fidelity if math.isfinite(score.value)]
        return tuple(rows)


@dataclass(frozen=True)
class Flip:
    """One image with another answer: what changed in words, and both answers drawn, as JPEG."""

    name: str  # of the file, without its folder
    change: str
    verdict_changed: bool
    severity: float  # larger is worse
    fp32: bytes
    bundle: bytes


@dataclass(frozen=True)
class Flips:
    """Of `images` looked at, `changed` have another answer and `verdicts` another verdict; `worst` come first."""

    data: str
    images: int
    changed: int
    verdicts: int
    worst: tuple[Flip, ...]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
