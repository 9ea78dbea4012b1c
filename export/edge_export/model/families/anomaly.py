"""Anomaly models: a map of how unlike the good parts an image is, a score, or both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_export.model.families.common import UNIT
from edge_export.model.families.family import Answers, Family, Match, Out
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Anomaly

__all__ = ["ROWS"]

_SOURCE = "https://github.com/open-edge-platform/anomalib/blob/main/src/anomalib/post_processing/post_processor.py"
_NEAR = 1e-3  # of the limit: there pred_label, which is of a model's own scores, may be rounded to the other side
_RAW = "raw ones need --task anomaly --anomaly-range MIN,MAX,THRESHOLD"


def _normalized(match: Match, pictures: Sequence[Answers]) -> str:
    """anomalib normalizes inside since 2.0, and `pred_label` says on which side of the limit the score is."""
    label = next((output.name for output in match.shown.outputs if output.name == "pred_label"), None)
    limit = _limit(match, "pred_label")
    for answers in pictures:
        for name in match.names:
            values = np.asarray(answers[name], np.float32)
            if values.min() < 0 or values.max() > 1:
                return f"its scores are not within 0..1 ({name} has {values.min():.3g}..{values.max():.3g}): {_RAW}"
        if label and "pred_score" in match.names:
            score = np.asarray(answers["pred_score"], np.float32).reshape(-1)
            wrong = np.asarray(answers[label]).reshape(-1) != (score >= limit)
            if np.any(wrong & (np.abs(score - limit) > _NEAR)):
                return f"pred_label does not change at {limit:.3g}: {_RAW}"
    return ""


def _limit(match: Match, name: str) -> float:
    """From which value on the graph says that it is an anomaly: 0.5, or what a sensitivity made of it."""
    told = next((output.limit for output in match.shown.outputs if output.name == name), None)
    return 0.5 if told is None or not 0 < told < 1 else round(told, 6)


def _row(name: str, *outputs: Out, alone: str = "") -> Family:
    """A row of anomalib's; `alone` is an output that its models do not have."""

    def post(match: Match) -> Anomaly:
        score = "pred_score" if "pred_score" in match.names else ""
        apart = _limit(match, "pred_mask") - _limit(match, "pred_label")
        if not apart or not score:
            return Anomaly(map_output=match.names[-1], score_output=score)
        # pixels are judged by the score's limit, too: so much their values are moved
        return Anomaly(
            map_output=match.names[-1], score_output=score, normalize=True, map_threshold=round(0.5 + apart, 6)
        )

    def when(match: Match) -> str:
        there = any(output.name == alone for output in match.shown.outputs)
        return f"it has an output {alone}" if alone and there else ""

    def limits(match: Match) -> Thresholds:
        return Thresholds(confidence=_limit(match, "pred_label"))

    return Family(
        name=name,
        source=_SOURCE,
        outputs=outputs,
        read=post,
        pixels=UNIT,  # since 1.0 the model's own transform is part of its graph
        limits=limits,
        when=when,
        fits=_normalized,
        extra=True,  # pred_label, pred_mask
    )


_MAP = Out(("N", "1", "*", "*"), "anomaly_map", "f")
_FLAT_MAP = Out(("N", "*", "*"), "anomaly_map", "f")
_SCORE = Out(("*",), "pred_score", "f")
_FLAT_SCORE = Out(("N", "1"), "pred_score", "f")

ROWS: tuple[Family, ...] = (
    _row("anomalib", _SCORE, _MAP),
    _row("anomalib-score-of-rank-2", _FLAT_SCORE, _MAP),
    _row("anomalib-flat-map", _SCORE, _FLAT_MAP),
    _row("anomalib-flat-map-score-of-rank-2", _FLAT_SCORE, _FLAT_MAP),
    _row("anomalib-map", _MAP, alone="pred_score"),
    _row("anomalib-map-flat", _FLAT_MAP, alone="pred_score"),
    _row("anomalib-score", _SCORE, alone="anomaly_map"),
    _row("anomalib-score-rank-2", _FLAT_SCORE, alone="anomaly_map"),
)
