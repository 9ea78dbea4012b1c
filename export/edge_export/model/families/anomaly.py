"""Anomaly models: a map of how unlike the good parts an image is, and perhaps a score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_export.model.families.common import UNIT
from edge_export.model.families.family import Answers, Family, Match, Out
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Anomaly

__all__ = ["ROWS"]


def _normalized(match: Match, pictures: Sequence[Answers]) -> str:
    """anomalib normalizes inside since 2.0: 0.5 is the limit, and `pred_label` says on which side the score is."""
    label = next((output.name for output in match.shown.outputs if output.name == "pred_label"), None)
    for answers in pictures:
        score, cells = (np.asarray(answers[name], np.float32) for name in match.names)
        if min(score.min(), cells.min()) < 0 or max(score.max(), cells.max()) > 1:
            return "its scores are not within 0..1"
        if label and np.any(np.asarray(answers[label]).reshape(-1) != (score.reshape(-1) >= 0.5)):
            return "pred_label does not change at 0.5"
    return ""


ROWS: tuple[Family, ...] = (
    Family(
        name="anomalib",
        source="https://github.com/open-edge-platform/anomalib/blob/main/src/anomalib/post_processing/post_processor.py",
        outputs=(Out(("*",), "pred_score", "f"), Out(("N", "1", "*", "*"), "anomaly_map", "f")),
        read=lambda match: Anomaly(map_output=match.names[1], score_output=match.names[0]),
        pixels=UNIT,  # the model's own transform is part of its graph
        thresholds=Thresholds(confidence=0.5),
        fits=_normalized,
        extra=True,  # pred_label, pred_mask
    ),
)
