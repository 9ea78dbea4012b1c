"""What of a model's answer is reported: the manifest's thresholds, or what the user asks for instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Anomaly, Detect
from edge_runtime.errors import UsageError
from edge_runtime.vision.class_names import anomaly_name, class_name
from edge_runtime.vision.verdict import check_rule

__all__ = ["Settings"]

_ALL = 2**31


@dataclass(frozen=True)
class Settings:
    """Thresholds in 0..1, the most objects reported per image, and the class ids reported (all when empty).

    `max_det` and `classes` limit what is reported; the verdict is about everything that was seen. `everything`: all
    classes of a classifier and all objects are reported. `min_area` (fraction of the image) is used instead of the
    manifest's: smaller regions are not seen.
    """

    confidence: float = 0.25
    iou: float = 0.45
    max_det: int = 300
    classes: tuple[int, ...] = ()
    everything: bool = False
    min_area: float | None = None

    def __post_init__(self) -> None:
        for flag, value in (("--conf", self.confidence), ("--iou", self.iou)):
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"{flag} must be 0..1, found {value}; give a fraction such as 0.25")
        if self.max_det < 1:
            raise UsageError(f"--max-det must be at least 1, found {self.max_det}; give a number such as 300")

    @staticmethod
    def of(
        facts: ModelFacts,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        classes: Sequence[str | int] | None = None,
        everything: bool = False,
        min_area: float | None = None,
    ) -> Settings:
        """The manifest's values, each overridden by what is not None. `classes` holds names or ids.

        Raises UsageError for a value out of range or an unknown class, and BundleError for a manifest whose
        verdict rule names a class that the model cannot report.
        """
        spec = facts.postprocess
        check_rule(facts.verdict, (anomaly_name(facts.labels),) if isinstance(spec, Anomaly) else facts.labels)
        if everything:
            max_det = _ALL
        elif max_det is None:
            max_det = spec.max_det if isinstance(spec, Detect) else 300
        return Settings(
            confidence=facts.thresholds.confidence if confidence is None else confidence,
            iou=facts.thresholds.iou if iou is None else iou,
            max_det=max_det,
            classes=tuple(sorted({_class_id(wanted, facts.labels) for wanted in classes or ()})),
            everything=everything,
            min_area=min_area,
        )


def _class_id(wanted: str | int, labels: Sequence[str]) -> int:
    if isinstance(wanted, str):
        if wanted in labels:
            return labels.index(wanted)
        if wanted.isdecimal():
            wanted = int(wanted)
    if isinstance(wanted, int) and wanted >= 0 and (not labels or wanted < len(labels)):
        return wanted
    known = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "") if labels else class_name((), 7)
    raise UsageError(f"--classes: the model has no class {wanted!r}; give ids from 0 on or names: {known}")
