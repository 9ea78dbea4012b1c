"""Each row's answer to known objects, read by the runtime as the row says: the same objects come back."""

from __future__ import annotations

import numpy as np
import pytest
from detector_answers import Thing, answers
from family_layouts import IMAGE, LAYOUTS, Shapes, shown_of

from edge_export.model.families import FAMILIES, recognise
from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings

PLACE = Placement(IMAGE.width, IMAGE.height, IMAGE.width, IMAGE.height, 1.0, 1.0, 0.0, 0.0)


def things_of(random: np.random.Generator, classes: int, points: int) -> list[Thing]:
    """A few objects that do not overlap, on a grid of 3 x 3."""
    found = []
    for place in random.permutation(9)[: random.integers(2, 6)].tolist():
        left, top = 107 * (place % 3) + random.uniform(0, 20), 107 * (place // 3) + random.uniform(0, 20)
        width, height = random.uniform(30, 80, 2)
        where = [
            (left + width * random.uniform(0.1, 0.9), top + height * random.uniform(0.1, 0.9)) for _ in range(points)
        ]
        box = (left, top, left + width, top + height)
        score = float(random.uniform(0.3, 0.95))
        found.append(Thing(tuple(map(float, box)), score, int(random.integers(0, classes)), tuple(where)))  # type: ignore[arg-type]
    return sorted(found, key=lambda thing: -thing.score)


@pytest.mark.parametrize(("name", "shapes", "labels"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_what_a_family_answers_is_read_as_it_was_meant(name: str, shapes: Shapes, labels: int) -> None:
    shown = shown_of(shapes, labels)
    reading = next(one for one in recognise(shown, FAMILIES).readings if one.family.name == name)
    post = reading.postprocess
    assert isinstance(post, Detect)
    sizes = {
        key: tuple(0 if size is None else size for size in shape if size != "int") for key, shape in shapes.items()
    }
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
        one_class = "face" in name or "scrfd" in name or name in ("yunet", "ultraface", "nanodet")
        things = things_of(random, 1 if one_class else 2, post.points.count if post.points else 0)
        outputs = answers(post, sizes, things, (IMAGE.width, IMAGE.height))  # type: ignore[arg-type]
        found = interpret(facts, outputs, [PLACE], Settings.of(facts, confidence=0.25))[0].predictions
        assert [(one.class_id, round(one.confidence, 2)) for one in found] == [
            (thing.class_id, round(thing.score, 2)) for thing in things
        ]
        for one, thing in zip(found, things, strict=True):
            assert one.box is not None
            np.testing.assert_allclose([one.box.x1, one.box.y1, one.box.x2, one.box.y2], thing.box, atol=0.1)
            if one.points:
                np.testing.assert_allclose([(point.x, point.y) for point in one.points], thing.points, atol=0.1)
