"""How many of the answers to held-back images stay those of FP32: what is checked when a mix has been found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx

from edge_export.evaluate.data.calibration import ImageCalibration
from edge_export.evaluate.metrics.parts import parts_of
from edge_export.evaluate.scores import MEASURING_CONFIDENCE, Options, fidelity
from edge_export.run import ProtoSession, open_session
from edge_export.search.targets import allowed_loss
from edge_export.state import Draft
from edge_runtime.errors import EngineError
from edge_runtime.vision.runner import VisionRunner
from edge_runtime.vision.settings import Settings

__all__ = ["Agreement", "agreement_of"]

_TASKS = ("classify", "detect", "segment")
# Chance below which fewer agreeing images are taken for a loss, and not for bad luck with few images.
_DOUBT = 0.05


@dataclass(frozen=True)
class Agreement:
    """`value` 0..1 over `images` held-back images, by the measure that fits the task, the worst one where objects have
    more than boxes; `high` is the upper end of its 95 % interval.
    """

    task: str
    measure: str
    value: float
    images: int
    high: float

    def meets(self, max_drop: float) -> bool:
        """Tell whether this is compatible with a loss of at most `max_drop`."""
        if self.task != "classify":
            return 1.0 - self.high <= allowed_loss(self.task, max_drop)
        lost = round((1.0 - self.value) * self.images)
        return lost <= max_drop * self.images or _chance(lost, self.images, max_drop) > _DOUBT


def agreement_of(draft: Draft, model: onnx.ModelProto | Path) -> Agreement | None:
    """Compare a graph with FP32 on the held-back images; None where answers have no meaning or there are no images."""
    held, postprocess = draft.holdout, draft.facts.postprocess
    if not isinstance(held, ImageCalibration) or postprocess is None or postprocess.task not in _TASKS:
        return None
    facts = draft.model_facts()
    settings = Settings.of(facts)
    runners = [VisionRunner(facts, ProtoSession(open_session(graph)), settings) for graph in (draft.reference, model)]
    confidence = max(facts.thresholds.confidence, MEASURING_CONFIDENCE)
    options = Options(facts.labels, confidence, parts=parts_of(postprocess))
    try:
        evaluation = fidelity(runners[0], runners[1], held.paths, postprocess.task, options)
    except EngineError:
        return _unread(draft, runners[0])
    known = [score for score in evaluation.scores if math.isfinite(score.value)]
    if not known:
        return None
    # Boxes, masks, points, turned boxes: what suffers most must not have lost too much.
    score = min(known, key=lambda one: one.value)
    high = score.high if math.isfinite(score.high) else score.value
    return Agreement(postprocess.task, score.metric, score.value, score.images, high)


def _unread(draft: Draft, reference: VisionRunner) -> Agreement | None:
    """No agreement of a graph whose answers cannot be read; None where FP32's own cannot: `rehearse` says so later."""
    held, postprocess = draft.holdout, draft.facts.postprocess
    if not isinstance(held, ImageCalibration) or postprocess is None:
        return None
    try:
        for image in held.images():
            reference([image])
    except EngineError:
        return None
    return Agreement(postprocess.task, "answers that can be read", 0.0, len(held), 0.0)


def _chance(lost: int, images: int, rate: float) -> float:
    """Return the probability of `lost` or more of `images` at a true loss of `rate` (binomial)."""
    below = sum(math.comb(images, k) * rate**k * (1 - rate) ** (images - k) for k in range(lost))
    return max(0.0, 1.0 - below)
