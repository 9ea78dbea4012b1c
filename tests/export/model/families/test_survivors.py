"""Of the rows that fit a model's shapes, real answers leave the one that they are of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from detector_answers import answers
from family_layouts import ALL, IMAGE, LAYOUTS, PLACE, Shapes, shown_of, sizes_of, things_of

from edge_export.model.families import FAMILIES, recognise
from edge_export.model.families.plausible import Look, judge
from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect

# Their anchors differ by a factor of 1.2, which no picture tells.
_ALIKE = {"yolov5-heads": "yolov7-heads", "yolov7-heads": "yolov5-heads", "yolov5-convolutions": "yolov7-convolutions"}
_YOLOX: tuple[str, Shapes, int] = ("yolox", {"output": (1, ALL, 85)}, 0)


@pytest.mark.parametrize(("name", "shapes", "labels"), [*LAYOUTS, _YOLOX], ids=[one[0] for one in (*LAYOUTS, _YOLOX)])
def test_pictures_leave_the_row_that_answered(name: str, shapes: Shapes, labels: int) -> None:
    readings = recognise(shown_of(shapes, labels), FAMILIES).readings
    post = next(one for one in readings if one.family.name == name).postprocess
    assert isinstance(post, Detect)
    random = np.random.default_rng(3)
    one_class = "face" in name or "scrfd" in name or name in ("yunet", "ultraface", "nanodet")
    looks = [
        Look(
            answers(
                post,
                sizes_of(shapes),
                things_of(random, 1 if one_class else 2, post.points.count if post.points else 0),
                (IMAGE.width, IMAGE.height),
            ),
            PLACE,
        )
        for _ in range(6)
    ]
    outputs = tuple(TensorSpec(key, "float32", ("N",)) for key in shapes)
    facts = ModelFacts((), outputs, None, post, (), Thresholds(), VerdictRule("any"))
    left = {
        one.family.name
        for one in readings
        if not judge(replace(facts, postprocess=one.postprocess), looks, one).against
    }
    assert left == {name, _ALIKE.get(name, name)}
