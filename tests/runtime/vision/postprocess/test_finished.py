"""Boxes that a graph has chosen itself, in the forms that exporters write, read against loops over their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Column, Detect, Masks, Points
from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings

Array = NDArray[Any]
SIZE = 64
PLACE = Placement(SIZE, SIZE, SIZE, SIZE, 1.0, 1.0, 0.0, 0.0)
LABELS = ("open", "short", "spur")
CONFIDENCE = 0.25
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=20, deadline=None)
# One image's objects: box, score, class.
Objects = list[tuple[tuple[float, float, float, float], float, int]]


def objects(random: np.random.Generator, most: int = 6) -> Objects:
    found: Objects = []
    for _ in range(int(random.integers(0, most))):
        x1, y1 = random.uniform(0, 40, 2).tolist()
        width, height = random.uniform(4, 20, 2).tolist()
        found.append(((x1, y1, x1 + width, y1 + height), float(random.uniform(0.01, 0.99)), int(random.integers(0, 3))))
    return found


def look(spec: Detect, outputs: dict[str, Array], images: int = 1) -> list[list[Any]]:
    facts = ModelFacts(
        inputs=(),
        outputs=tuple(TensorSpec(name, "float32", ("N",)) for name in outputs),
        preprocess=None,
        postprocess=spec,
        labels=LABELS,
        thresholds=Thresholds(),
        verdict=VerdictRule("any"),
    )
    results = interpret(facts, outputs, [PLACE] * images, Settings.of(facts, confidence=CONFIDENCE))
    return [list(result.predictions) for result in results]


def check(found: list[list[Any]], images: list[Objects]) -> None:
    assert len(found) == len(images)
    for predictions, expected in zip(found, images, strict=True):
        wanted = sorted((one for one in expected if one[1] >= CONFIDENCE), key=lambda one: -one[1])
        assert [(p.class_id, LABELS[p.class_id]) for p in predictions] == [(one[2], LABELS[one[2]]) for one in wanted]
        for prediction, (box, score, _) in zip(predictions, wanted, strict=True):
            assert prediction.confidence == pytest.approx(score, abs=1e-5)
            corners = [prediction.box.x1, prediction.box.y1, prediction.box.x2, prediction.box.y2]
            np.testing.assert_allclose(corners, box, atol=1e-3)


def row(columns: tuple[Column, ...], image: int, one: tuple[tuple[float, ...], float, int], side: float) -> list[float]:
    values: dict[str, list[float]] = {
        "batch": [image],
        "box": [value / side for value in one[0]],
        "score": [one[1]],
        "class": [one[2]],
    }
    return [value for column in columns for value in values[column]]


@given(
    seed=seeds,
    images=st.integers(1, 3),
    columns=st.permutations(("batch", "box", "score", "class")),
    normalized=st.booleans(),
    deep=st.booleans(),
)
@quick
def test_rows_that_tell_their_image_are_read_in_any_order(
    seed: int, images: int, columns: tuple[Column, ...], normalized: bool, deep: bool
) -> None:
    random = np.random.default_rng(seed)
    drawn = [objects(random) for _ in range(images)]
    side = float(SIZE) if normalized else 1.0
    rows = [row(tuple(columns), image, one, side) for image, found in enumerate(drawn) for one in found]
    random.shuffle(rows)
    table = np.array(rows, np.float32).reshape(-1, 7)
    if deep:  # OpenVINO's DetectionOutput, whose list ends with an image of -1
        end = np.zeros((2, 7), np.float32)
        end[0, sum(4 if column == "box" else 1 for column in columns[: columns.index("batch")])] = -1
        table = np.concatenate([table, end])[None, None]
    spec = Detect(format="final", box="xyxy", columns=tuple(columns), normalized=normalized, nms=False)
    check(look(spec, {"out": table}, images), drawn)


@given(seed=seeds, images=st.integers(1, 3))
@quick
def test_paddles_rows_are_counted_for_each_image(seed: int, images: int) -> None:
    random = np.random.default_rng(seed)
    drawn = [objects(random) for _ in range(images)]
    columns: tuple[Column, ...] = ("class", "score", "box")
    rows = np.array([row(columns, 0, one, 1.0) for found in drawn for one in found], np.float32).reshape(-1, 6)
    counts = np.array([len(found) for found in drawn], np.int32)
    if not len(rows):
        rows = np.full((1, 6), -1, np.float32)  # what it gives where it finds nothing
    spec = Detect(format="final", box="xyxy", columns=columns, outputs=("rows", "counts"), nms=False)
    check(look(spec, {"rows": rows, "counts": counts}, images), drawn)


@given(seed=seeds, images=st.integers(1, 3))
@quick
def test_pintos_scores_may_lie_beside_rows(seed: int, images: int) -> None:
    random = np.random.default_rng(seed)
    drawn = [objects(random) for _ in range(images)]
    columns: tuple[Column, ...] = ("batch", "class", "box")
    rows = [row(columns, image, one, 1.0) for image, found in enumerate(drawn) for one in found]
    outputs = {
        "score": np.array([[one[1]] for found in drawn for one in found], np.float32).reshape(-1, 1),
        "batchno_classid_x1y1x2y2": np.array(rows, np.float32).reshape(-1, 6),
    }
    names = ("batchno_classid_x1y1x2y2", "score")
    check(look(Detect(format="final", box="xyxy", columns=columns, outputs=names, nms=False), outputs, images), drawn)


def test_scores_beside_boxes_may_be_counted_for_what_comes_after_was_suppressed() -> None:
    outputs = {
        "num": np.array([[1]], np.int64),
        "boxes": np.array([[[4, 4, 20, 20], [5, 4, 20, 20], [30, 30, 60, 60]]], np.float32),
        "scores": np.array([[0.9, 0.8, 0.7]], np.float32),
        "joints": np.array([[[[8, 9, 0.5]]] * 3], np.float32),
    }
    spec = Detect(
        format="final", box="xyxy", columns=("box",), outputs=("boxes", "scores", "num"), nms=False,
        points=Points(1, 3, output="joints"),
    )  # fmt: skip
    (found,) = look(spec, outputs)[0]
    assert (found.class_id, round(found.confidence, 4)) == (0, 0.9)
    assert [(point.x, point.y) for point in found.points] == [(8.0, 9.0)]


def padded(found: Objects, length: int, first: int) -> tuple[Array, Array, Array]:
    boxes, scores, classes = np.zeros((length, 4)), np.zeros(length), np.full(length, -1)
    for index, (box, score, class_id) in enumerate(found):
        boxes[index], scores[index], classes[index] = box, score, class_id + first
    return boxes, scores, classes


@given(seed=seeds, images=st.integers(1, 3), first=st.sampled_from([0, 1]), counted=st.booleans())
@quick
def test_boxes_classes_and_scores_apart_are_read(seed: int, images: int, first: int, counted: bool) -> None:
    random = np.random.default_rng(seed)
    drawn = [objects(random) for _ in range(images)]
    parts = [padded(found, 8, first) for found in drawn]
    outputs = {
        "num_dets": np.array([[len(found)] for found in drawn], np.int32),
        "det_boxes": np.stack([part[0] for part in parts]).astype(np.float32),
        "det_scores": np.stack([part[1] for part in parts]).astype(np.float32),
        "det_classes": np.stack([part[2] for part in parts]).astype(np.int64),
    }
    if counted:  # what lies beyond the count is whatever the memory held
        for image, found in enumerate(drawn):
            outputs["det_scores"][image, len(found) :] = 0.99
    names = ("det_boxes", "det_classes", "det_scores", *(("num_dets",) if counted else ()))
    spec = Detect(format="final-split", box="xyxy", outputs=names, first_class=first, nms=False)
    check(look(spec, outputs, images), drawn)


@given(seed=seeds, count=st.integers(0, 3))
@quick
def test_torchvisions_outputs_have_no_batch_dimension(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    drawn = objects(random)[:count]
    boxes, scores, classes = padded(drawn, len(drawn), 1)
    outputs = {"boxes": boxes.astype(np.float32), "labels": classes, "scores": scores.astype(np.float32)}
    spec = Detect(format="final-split", box="xyxy", outputs=tuple(outputs), first_class=1, nms=False)
    check(look(spec, outputs), [drawn])


@given(seed=seeds, images=st.integers(1, 3), alone=st.booleans())
@quick
def test_labels_beside_rows_are_read(seed: int, images: int, alone: bool) -> None:
    """mmdeploy fills up to a fixed length; Geti's models for one picture have no batch dimension."""
    random = np.random.default_rng(seed)
    drawn = [objects(random) for _ in range(1 if alone else images)]
    parts = [padded(found, len(found) if alone else 8, 0) for found in drawn]
    dets = np.stack([np.concatenate([boxes, scores[:, None]], axis=1) for boxes, scores, _ in parts])
    labels = np.stack([classes for _, _, classes in parts])
    outputs = {"dets": (dets[0] if alone else dets).astype(np.float32), "labels": labels[0] if alone else labels}
    spec = Detect(format="final-labels", box="xyxy", outputs=("dets", "labels"), nms=False)
    check(look(spec, outputs, len(drawn)), drawn)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_masks_and_key_points_of_rows_without_a_batch_dimension_are_theirs(count: int) -> None:
    boxes = np.array([[8 * index, 8, 8 * index + 6, 40] for index in range(count)], np.float32)
    scores = np.linspace(0.5, 0.9, count, dtype=np.float32)
    masks = np.zeros((count, 1, SIZE, SIZE), np.float32)
    points = np.zeros((count, 2, 3), np.float32)
    for index, (x1, y1, x2, y2) in enumerate(boxes.astype(int).tolist()):
        masks[index, 0, y1 : y2 - 10 * index, x1:x2] = 1
        points[index, :, :2] = [[x1, y1], [x2, y2]]
    outputs = {
        "boxes": boxes, "labels": np.ones(count, np.int64), "scores": scores, "masks": masks, "keypoints": points,
    }  # fmt: skip
    spec = Detect(
        format="final-split", box="xyxy", outputs=("boxes", "labels", "scores"), first_class=1, nms=False,
        masks=Masks(output="masks", kind="image", activation="none"), points=Points(2, 3, output="keypoints"),
    )  # fmt: skip
    found = look(spec, outputs)[0]
    assert len(found) == count
    for rank, prediction in enumerate(found):
        index = count - 1 - rank
        assert prediction.mask is not None
        assert int(prediction.mask.inside.sum()) == int(masks[index].sum())
        assert (prediction.points[1].x, prediction.points[1].y) == tuple(boxes[index, 2:])


@pytest.mark.parametrize(
    ("spec", "outputs", "said"),
    [
        (Detect(format="final-labels"), {"a": np.zeros((1, 3, 5)), "b": np.zeros((1, 2))}, r"\['N', 2\]"),
        (Detect(format="final-labels"), {"a": np.zeros((1, 3, 6)), "b": np.zeros((1, 3))}, r"\['N', 3, 6\]"),
        (Detect(format="final-labels"), {"a": np.ones((1, 3, 5)), "b": np.full((1, 3), 3)}, "class ids 0..2"),
        (Detect(format="final-labels"), {"a": np.ones((1, 3, 5)), "b": np.full((1, 3), 0.5)}, "class ids 0..2"),
        (Detect(format="final-labels", first_class=1), {"a": np.ones((1, 3, 5)), "b": np.zeros((1, 3))}, "ids 1..3"),
        (Detect(format="final-labels"), {"a": np.full((1, 3, 5), 2.0), "b": np.zeros((1, 3))}, "scores in 0..1"),
        (Detect(format="final", outputs=("a", "b")), {"a": np.zeros((4, 6)), "b": np.array([5])}, "how many of 4 rows"),
        (Detect(format="final", outputs=("a", "b")), {"a": np.zeros((4, 6)), "b": np.array([-1])}, "how many of 4"),
        (
            Detect(format="final-split"),
            {"a": np.zeros((1, 3, 4)), "b": np.zeros((1, 3)), "c": np.zeros((1, 3)), "d": np.array([9])},
            "how many of 3 rows",
        ),
    ],
)
def test_answers_that_do_not_fit_are_errors_of_one_line(spec: Detect, outputs: dict[str, Array], said: str) -> None:
    with pytest.raises(EngineError, match=said) as caught:
        look(spec, outputs)
    assert "\n" not in str(caught.value)
