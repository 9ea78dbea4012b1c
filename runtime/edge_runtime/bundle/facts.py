"""What is true of a model, whoever runs it: its tensors, what is done before and after them, and how it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from edge_runtime.bundle.postprocess_spec import Postprocess
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["ModelFacts", "TensorSpec", "Thresholds", "Verdict", "VerdictRule"]

Verdict = Literal["OK", "NG", "NO_READ"]


@dataclass(frozen=True)
class TensorSpec:
    """One graph input or output. A dimension is a positive number, or a name when it may vary (the batch)."""

    name: str
    dtype: str  # numpy's name: "float32", "uint8", "int64", ...
    shape: tuple[Union[int, str], ...]

    @property
    def batch(self) -> int | None:
        """How many samples the first dimension holds; None where it may vary. Without a dimension it is one sample."""
        first = self.shape[0] if self.shape else 1
        return first if isinstance(first, int) else None

    @property
    def least_shape(self) -> tuple[int, ...]:
        """The smallest shape it can have: 1 where a dimension may vary."""
        return tuple(dim if isinstance(dim, int) else 1 for dim in self.shape)


@dataclass(frozen=True)
class VerdictRule:
    """When a frame is NG. `any`: a reported object of `classes` (all when empty); `class`: the best class is
    not one of `ok_classes`; `score`: the anomaly score reaches the threshold; `none`: the model does not judge.
    """

    rule: Literal["any", "class", "score", "none"] = "none"
    classes: tuple[str, ...] = ()
    ok_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thresholds:
    """Confidence below which nothing is reported, and the overlap (IoU) above which boxes are merged; 0..1."""

    confidence: float = 0.25
    iou: float = 0.45

    def __post_init__(self) -> None:
        for name in ("confidence", "iou"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be 0..1, found {getattr(self, name)}")


@dataclass(frozen=True)
class ModelFacts:
    """All that running a model on images, reading its answers and judging them needs; a manifest is this and more.

    `preprocess` is None when the inputs are tensors that only the caller can make.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: Union[Preprocess, None]
    postprocess: Postprocess
    labels: tuple[str, ...]
    thresholds: Thresholds
    verdict: VerdictRule

    @property
    def batch(self) -> int | None:
        """How many samples a run takes: the first number that an input is fixed to; None where all inputs may vary."""
        return next((spec.batch for spec in self.inputs if spec.batch is not None), None)
