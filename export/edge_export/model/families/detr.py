"""Detectors of the DETR kind: a fixed number of queries, each with a box of 0..1 and a score for every class."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from edge_export.model.families.common import IMAGENET, UNIT
from edge_export.model.families.family import Answers, Family, Match, Out
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Masks, Postprocess

__all__ = ["ROWS"]

_HALF = Thresholds(confidence=0.5)
_COCO = 80
_RISE = 2.0  # of a last logit that means "nothing here" above the others
_RARE = -2.0  # the logit of a class that is seldom there, where each is scored by itself


def _rise_of_last(match: Match, pictures: Sequence[Answers]) -> tuple[float, float]:
    """By how much the last class' logit stands above the others' in the middle query, and their middle logit."""
    logits = [np.asarray(answers[match.names[1]], np.float32) for answers in pictures]
    rows = np.concatenate([part.reshape(-1, part.shape[-1]) for part in logits])
    others = np.median(rows[:, :-1], axis=1) if rows.shape[1] > 1 else rows[:, 0]
    return float(np.median(rows[:, -1] - others)), float(np.median(others))


def _background_last(match: Match, pictures: Sequence[Answers]) -> str:
    """Most queries of a trained DETR say "nothing here", its last class. Between the two, both readings stay."""
    rise, middle = _rise_of_last(match, pictures)
    return "the last class is one like the others" if rise < _RISE and middle < _RARE else ""


def _no_background(match: Match, pictures: Sequence[Answers]) -> str:
    if _plain_attention(match):
        return ""
    rise, _ = _rise_of_last(match, pictures)
    return "most queries answer the last class" if rise >= _RISE else ""


def _plain_attention(match: Match) -> str:
    """Those with deformable attention score with sigmoids: Deformable DETR, RT-DETR, D-FINE, DEIM, DINO."""
    return "its attention is deformable" if "GridSample" in match.shown.operators else ""


def _deformable_encoder(match: Match) -> bool:
    """Whether the encoder's attention is deformable too, as its weights' names tell; RT-DETR's, D-FINE's is plain."""
    return any(re.search(r"(?:^|[./])encoder[./].*sampling_offsets", name) for name in match.shown.weights)


def _quick(match: Match) -> str:
    return "its encoder is Deformable DETR's" if _deformable_encoder(match) else ""


def _slow(match: Match) -> str:
    return "" if _deformable_encoder(match) else "no weight is named as in Deformable DETR's encoder"


def _coco_ids(row: Family, logits: Out) -> Family:
    """The row of a model that counts COCO's 80 classes by their ids 0..90, given 80 labels: model/coco.py."""

    def read(match: Match) -> Postprocess:
        post = row.read(match)
        return dataclasses.replace(post, first_class=1) if isinstance(post, Detect) else post

    def eighty(match: Match) -> str:
        return row.when(match) if len(match.shown.labels or ()) == _COCO else f"it needs COCO's {_COCO} labels"

    return dataclasses.replace(row, name=f"{row.name}-coco", outputs=(row.outputs[0], logits), read=read, when=eighty)


def _rfdetr(masks: bool, nothing_last: bool) -> Family:
    """RF-DETR has a class more than it was trained on, the last; only labels tell (rfdetr/export/_class_layout.py)."""

    def read(match: Match) -> Postprocess:
        return Detect(
            format="boxes-scores",
            outputs=match.names[:2],
            normalized=True,
            activation="sigmoid",
            background="last" if nothing_last else "none",
            nms=False,
            masks=Masks(output=match.names[2], kind="image") if masks else None,
        )

    def labelled(match: Match) -> str:
        return "" if match.shown.labels or not nothing_last else "no labels tell that the last class means nothing"

    boxes, scores = Out(("N", "K", "4"), "dets"), Out(("N", "K", "1+C" if nothing_last else "C"), "labels", "f")
    return Family(
        name=f"rfdetr{'-masks' if masks else ''}{'-nothing-last' if nothing_last else ''}",
        source="https://github.com/roboflow/rf-detr/blob/develop/rfdetr/deploy/export.py",
        outputs=(boxes, scores, Out(("N", "K", "*", "*"), "masks", "f")) if masks else (boxes, scores),
        read=read,
        pixels=IMAGENET,
        thresholds=_HALF,
        when=labelled,
    )


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
        when=_plain_attention,
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
        when=_quick,
        fits=_no_background,
        extra=True,
    ),
    *(_rfdetr(masks, nothing_last) for masks in (False, True) for nothing_last in (False, True)),
)

_BY_NAME = {row.name: row for row in _ROWS}
_DEFORMABLE = dataclasses.replace(
    _BY_NAME["rtdetr-hf"],
    name="deformable-detr",
    source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/deformable_detr/"
    "modeling_deformable_detr.py",
    pixels=IMAGENET,
    when=_slow,
)
ROWS: tuple[Family, ...] = (
    *_ROWS,
    _DEFORMABLE,
    _coco_ids(_BY_NAME["detr"], Out(("N", "K", "12+C"), "logits|pred_logits")),
    _coco_ids(_BY_NAME["rfdetr"], Out(("N", "K", "11+C"), "labels", "f")),
)
