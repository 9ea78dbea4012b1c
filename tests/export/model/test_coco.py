"""COCO's 80 names for models that count its classes by ids with gaps."""

from __future__ import annotations

import pytest

from edge_export.model.coco import by_id
from edge_export.model.families import FAMILIES, Shown, recognise
from edge_export.model.graph_io import ImageInput, Output
from edge_runtime.bundle.postprocess_spec import Classify, Detect

_NAMES = ("person", *(f"name {index}" for index in range(1, 79)), "toothbrush")
_TF = Detect(format="final-split", first_class=1)


def test_eighty_names_stand_at_cocos_ids() -> None:
    spread = by_id(_NAMES, _TF)
    assert spread is not None
    assert len(spread) == 90
    assert (spread[0], spread[2], spread[89]) == ("person", "name 2", "toothbrush")
    # id 13, the stop sign, is the twelfth name: 12 was a street sign
    assert (spread[11], spread[12]) == ("unused 12", "name 11")


@pytest.mark.parametrize(
    ("labels", "post"),
    [
        (_NAMES, Detect(format="final-split")),
        (_NAMES, Classify()),
        (_NAMES, None),
        (_NAMES[:79], _TF),
        (tuple(reversed(_NAMES)), _TF),
        (None, _TF),
    ],
)
def test_other_labels_stay(labels: tuple[str, ...] | None, post: Detect | Classify | None) -> None:
    assert by_id(labels, post) == labels


@pytest.mark.parametrize(
    ("row", "outputs"),
    [
        ("detr-coco", (Output("logits", (1, 100, 92)), Output("pred_boxes", (1, 100, 4)))),
        ("rfdetr-coco", (Output("dets", (1, 300, 4)), Output("labels", (1, 300, 91)))),
    ],
)
def test_logits_for_91_ids_are_recognised_by_80_labels(row: str, outputs: tuple[Output, ...]) -> None:
    image = ImageInput("input", 320, 320, 3, "nchw", "float32")
    found = recognise(Shown(image, outputs, {}, _NAMES), FAMILIES).readings
    assert [reading.family.name for reading in found] == [row]
    unnamed = recognise(Shown(image, outputs), FAMILIES).readings
    assert row not in [reading.family.name for reading in unnamed]
