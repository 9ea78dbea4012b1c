"""Each row's answer to known objects, read by the runtime as the row says: the same objects come back."""

from __future__ import annotations

import numpy as np
import pytest
from detector_answers import answers
from family_layouts import IMAGE, LAYOUTS, PLACE, Shapes, shown_of, sizes_of, things_of

from edge_export.model.families import FAMILIES, recognise
from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings


@pytest.mark.parametrize(("name", "shapes", "labels"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_what_a_family_answers_is_read_as_it_was_meant(name: str, shapes: Shapes, labels: int) -> None:
    shown = shown_of(shapes, labels)
    reading = next(one for one in recognise(shown, FAMILIES).readings if one.family.name == name)
    post = reading.postprocess
    assert isinstance(post, Detect)
    random = np.random.default_rng(7)
    facts = ModelFacts(
        (),
        tuple(TensorSpec(key, "float32", ("N",)) for key in shapes),
        None,
        post,
        (),
        Thresholds(),
        VerdictRule("any"),
    )
    for _ in range(3):
        people = "nas-pose" in name or name == "mmdeploy-people"
        one_class = people or "face" in name or "scrfd" in name or name in ("yunet", "ultraface", "nanodet")
        things = things_of(random, 1 if one_class else 2, post.points.count if post.points else 0)
        outputs = answers(post, sizes_of(shapes), things, (IMAGE.width, IMAGE.height))
        found = interpret(facts, outputs, [PLACE], Settings.of(facts, confidence=0.25))[0].predictions
        assert [(one.class_id, round(one.confidence, 2)) for one in found] == [
            (thing.class_id, round(thing.score, 2)) for thing in things
        ]
        for one, thing in zip(found, things, strict=True):
            assert one.box is not None
            np.testing.assert_allclose([one.box.x1, one.box.y1, one.box.x2, one.box.y2], thing.box, atol=0.1)
            if one.points:
                np.testing.assert_allclose([(point.x, point.y) for point in one.points], thing.points, atol=0.1)
