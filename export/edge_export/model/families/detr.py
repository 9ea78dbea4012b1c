"""Detectors of the DETR kind: a fixed number of queries, each with a box of 0..1 and a score for every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_export.model.families.common import IMAGENET, UNIT
from edge_export.model.families.family import Answers, Family, Match, Out
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect

__all__ = ["ROWS"]

_HALF = Thresholds(confidence=0.5)


def _last_wins(match: Match, pictures: Sequence[Answers]) -> bool:
    """Whether the last class is the best of most queries: "nothing here" is what most of them say."""
    best = [answers[match.names[1]].argmax(axis=-1) == answers[match.names[1]].shape[-1] - 1 for answers in pictures]
    return bool(np.mean(best) > 0.5)


def _background_last(match: Match, pictures: Sequence[Answers]) -> str:
    return "" if _last_wins(match, pictures) else "the last class is not the one that most queries answer"


def _no_background(match: Match, pictures: Sequence[Answers]) -> str:
    return "most queries answer the last class" if _last_wins(match, pictures) else ""


ROWS: tuple[Family, ...] = (
    Family(
        name="detr",
        source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/detr/modeling_detr.py",
        outputs=(Out(("N", "K", "4"), "pred_boxes"), Out(("N", "K", "1+C"), "logits|pred_logits")),
        read=lambda match: Detect(
            format="boxes-scores",
            outputs=match.names,
            normalized=True,
            activation="softmax",
            background="last",
            nms=False,
        ),
        pixels=IMAGENET,
        thresholds=_HALF,
        fits=_background_last,
        extra=True,
    ),
    Family(
        name="rtdetr-hf",
        source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/rt_detr/"
        "modeling_rt_detr.py",
        outputs=(Out(("N", "K", "4"), "pred_boxes"), Out(("N", "K", "C"), "logits|pred_logits")),
        read=lambda match: Detect(
            format="boxes-scores", outputs=match.names, normalized=True, activation="sigmoid", nms=False
        ),
        pixels=UNIT,
        thresholds=_HALF,
        fits=_no_background,
        extra=True,
    ),
    Family(
        name="rfdetr",
        source="https://github.com/roboflow/rf-detr/blob/develop/rfdetr/deploy/export.py",
        outputs=(Out(("N", "K", "4"), "dets"), Out(("N", "K", "C"), "labels", "f")),
        read=lambda match: Detect(
            format="boxes-scores", outputs=match.names, normalized=True, activation="sigmoid", nms=False
        ),
        pixels=IMAGENET,
        thresholds=_HALF,
    ),
)
