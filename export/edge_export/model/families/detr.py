"""Detectors of the DETR kind: a fixed number of queries, each with a box of 0..1 and a score for every class."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from edge_export.model.families.common import IMAGENET, UNIT
from edge_export.model.families.family import Answers, Family, Match, Out
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["ROWS"]

_HALF = Thresholds(confidence=0.5)
_COCO = 80


def _last_wins(match: Match, pictures: Sequence[Answers]) -> bool:
    """Whether the last class is the best of most queries: "nothing here" is what most of them say."""
    best = [answers[match.names[1]].argmax(axis=-1) == answers[match.names[1]].shape[-1] - 1 for answers in pictures]
    return bool(np.mean(best) > 0.5)


def _background_last(match: Match, pictures: Sequence[Answers]) -> str:
    return "" if _last_wins(match, pictures) else "the last class is not the one that most queries answer"


def _no_background(match: Match, pictures: Sequence[Answers]) -> str:
    return "most queries answer the last class" if _last_wins(match, pictures) else ""


def _coco_ids(row: Family, logits: Out) -> Family:
    """The row of a model that counts COCO's 80 classes by their ids 0..90, given 80 labels: model/coco.py."""

    def read(match: Match) -> Postprocess:
        post = row.read(match)
        return dataclasses.replace(post, first_class=1) if isinstance(post, Detect) else post

    def eighty(match: Match) -> str:
        return "" if len(match.shown.labels or ()) == _COCO else f"it needs COCO's {_COCO} labels"

    return dataclasses.replace(row, name=f"{row.name}-coco", outputs=(row.outputs[0], logits), read=read, when=eighty)


_ROWS: tuple[Family, ...] = (
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

_BY_NAME = {row.name: row for row in _ROWS}
ROWS: tuple[Family, ...] = (
    *_ROWS,
    _coco_ids(_BY_NAME["detr"], Out(("N", "K", "12+C"), "logits|pred_logits")),
    _coco_ids(_BY_NAME["rfdetr"], Out(("N", "K", "11+C"), "labels", "f")),
)
