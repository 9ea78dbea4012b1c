"""What detected objects have beside a box, read from whole outputs, against a simple decoder over plain numpy."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect, Masks, Points
from edge_runtime.errors import EngineError
from edge_runtime.results import OrientedBox, Prediction, Result
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.postprocess.oriented import oriented_iou
from edge_runtime.vision.settings import Settings

Floats = NDArray[Any]

SIZE, SCALE, PAD = 64, 0.5, 7.0
# A letterboxed image of 128x100 pixels, 7 rows of padding above.
PLACE = Placement(128, 100, SIZE, SIZE, SCALE, SCALE, 0.0, PAD)
LABELS = ("open", "short", "spur")
# cx cy w h in input pixels, score, class: none suppresses another
OBJECTS = ((20.0, 24.0, 18.0, 12.0, 0.9, 2), (44.0, 36.0, 16.0, 20.0, 0.7, 0), (30.0, 50.0, 10.0, 8.0, 0.6, 1))
POINTS = 5


def facts_of(spec: Detect, names: list[str]) -> ModelFacts:
    outputs = tuple(TensorSpec(name, "float32", ("N",)) for name in names)
    return ModelFacts((), outputs, None, spec, LABELS, Thresholds(), VerdictRule("any"))


def look(spec: Detect, places: tuple[Placement, ...] = (PLACE,), /, **outputs: Floats) -> list[Result]:
    facts = facts_of(spec, list(outputs))
    return interpret(facts, {k: np.asarray(v, np.float32) for k, v in outputs.items()}, places, Settings.of(facts))


def random_parts(seed: int, coefficients: int = 4) -> tuple[Floats, Floats, Floats, Floats]:
    """Angles, points (x y confidence), weights and prototypes for the three objects."""
    random = np.random.default_rng(seed)
    points = random.uniform(8, 56, (3, POINTS, 3))
    points[..., 2] = random.random((3, POINTS))
    return (
        random.uniform(0, 1.5, 3),
        points,
        random.normal(size=(3, coefficients)),
        random.normal(size=(coefficients, 16, 16)),
    )


def yolo(*extras: Floats, anchors: int = 20) -> Floats:
    """[1, 4+C+extras, anchors] with the objects at some anchors."""
    table = np.zeros((anchors, 4 + len(LABELS) + sum(part.reshape(3, -1).shape[1] for part in extras)))
    for number, (row, (*box, score, class_id)) in enumerate(zip((3, 11, 17), OBJECTS, strict=True)):
        table[row, :4] = box
        table[row, 4 + class_id] = score
        table[row, 4 + len(LABELS) :] = np.concatenate([part[number].reshape(-1) for part in extras] or [[]])
    return table.T[None]


def final(*extras: Floats, box: str = "xyxy", rows: int = 9) -> Floats:
    """[1, rows, 6+extras], x1 y1 x2 y2 score class and what comes after."""
    table = np.zeros((rows, 6 + sum(part.reshape(3, -1).shape[1] for part in extras)))
    for row, (x, y, w, h, score, class_id) in enumerate(OBJECTS):
        where = [x - w / 2, y - h / 2, x + w / 2, y + h / 2] if box == "xyxy" else [x, y, w, h]
        table[row] = [*where, score, class_id, *(value for part in extras for value in part[row].reshape(-1))]
    return table[None]


def original(x: float, y: float) -> tuple[float, float]:
    return x / SCALE, (y - PAD) / SCALE


def check_boxes(found: tuple[Prediction, ...]) -> None:
    assert [(p.class_id, round(p.confidence, 4)) for p in found] == [(row[5], row[4]) for row in OBJECTS]
    for prediction, (x, y, w, h, *_) in zip(found, OBJECTS, strict=True):
        expected = [*original(x - w / 2, y - h / 2), *original(x + w / 2, y + h / 2)]
        assert prediction.box is not None
        np.testing.assert_allclose(dataclasses.astuple(prediction.box), expected, atol=1e-3)


def check_points(found: tuple[Prediction, ...], points: Floats) -> None:
    for prediction, rows in zip(found, points, strict=True):
        told = [(point.x, point.y, point.confidence) for point in prediction.points]
        np.testing.assert_allclose(told, [(*original(x, y), c) for x, y, c in rows], atol=1e-3)


def check_turned(found: tuple[Prediction, ...], angles: Floats) -> None:
    for prediction, angle, (x, y, w, h, *_) in zip(found, angles, OBJECTS, strict=True):
        expected = np.array([*original(x, y), w / SCALE, h / SCALE, angle])
        assert prediction.oriented is not None
        assert prediction.box is not None
        row = np.array(dataclasses.astuple(prediction.oriented))
        assert oriented_iou(expected, row[None])[0] > 0.999
        corners = np.array(prediction.oriented.corners()).clip(0, [128, 100])
        around = [*corners.min(axis=0), *corners.max(axis=0)]
        np.testing.assert_allclose(dataclasses.astuple(prediction.box), around, atol=1e-2)


def check_masks(found: tuple[Prediction, ...], weights: Floats, prototypes: Floats) -> None:
    """Every pixel by itself: letterboxed, between four cells, above zero, within the box."""
    maps = np.tensordot(weights, prototypes, 1)
    for prediction, cells, (cx, cy, w, h, *_) in zip(found, maps, OBJECTS, strict=True):
        assert prediction.mask is not None
        whole, near = np.zeros((100, 128), np.bool_), np.zeros((100, 128), np.bool_)
        for y in range(100):
            for x in range(128):
                u, v = (x + 0.5) * SCALE, (y + 0.5) * SCALE + PAD
                if not (cx - w / 2 <= u < cx + w / 2 and cy - h / 2 <= v < cy + h / 2):
                    continue
                u, v = min(max(u / 4 - 0.5, 0), 15), min(max(v / 4 - 0.5, 0), 15)
                left, top = min(int(u), 14), min(int(v), 14)
                a, b = cells[top : top + 2, left : left + 2] @ [1 - (u - left), u - left]
                value = a * (1 - (v - top)) + b * (v - top)
                whole[y, x], near[y, x] = value > 0, abs(value) < 1e-4
        mask = prediction.mask
        height, width = mask.inside.shape
        placed = np.zeros_like(whole)
        placed[mask.top : mask.top + height, mask.left : mask.left + width] = mask.inside
        assert not ((placed != whole) & ~near).any()
        assert prediction.area == placed.sum() / placed.size


@pytest.mark.parametrize("seed", range(3))
def test_ultralytics_segmentation_pose_and_oriented_boxes_are_read(seed: int) -> None:
    angles, points, weights, prototypes = random_parts(seed)
    masks = Masks("protos", count=4)
    (result,) = look(Detect(masks=masks), output0=yolo(weights), protos=prototypes[None])
    check_boxes(result.predictions)
    check_masks(result.predictions, weights, prototypes)
    assert (result.verdict, result.reasons) == ("NG", ("open x1", "short x1", "spur x1"))
    (result,) = look(Detect(points=Points(POINTS)), output0=yolo(points))
    check_boxes(result.predictions)
    check_points(result.predictions, points)
    (result,) = look(Detect(angle="radians"), output0=yolo(angles))
    check_turned(result.predictions, angles)
    (result,) = look(Detect(angle="degrees"), output0=yolo(np.rad2deg(angles)))
    check_turned(result.predictions, angles)


@pytest.mark.parametrize("seed", range(3))
def test_the_end_to_end_forms_are_read(seed: int) -> None:
    angles, points, weights, prototypes = random_parts(seed)
    (result,) = look(
        Detect(format="final", masks=Masks("protos", count=4)), output0=final(weights), protos=prototypes[None]
    )
    check_boxes(result.predictions)
    check_masks(result.predictions, weights, prototypes)
    (result,) = look(Detect(format="final", points=Points(POINTS)), output0=final(points))
    check_boxes(result.predictions)
    check_points(result.predictions, points)
    turned = Detect(format="final", box="cxcywh", columns=("box", "score", "class", "angle"), angle="radians")
    (result,) = look(turned, output0=final(angles, box="cxcywh"))
    check_turned(result.predictions, angles)


def test_points_and_masks_may_lie_in_outputs_of_their_own() -> None:
    _, points, _, _ = random_parts(7)
    boxes = final()[0, :, :4]
    maps = np.random.default_rng(0).random((9, 7, 7))
    split = {"boxes": boxes[None], "labels": final()[..., 5] + 1, "scores": final()[..., 4]}
    every = np.zeros((9, POINTS, 3))
    every[:3] = points
    spec = Detect(
        format="final-split",
        outputs=("boxes", "labels", "scores"),
        box="xyxy",
        first_class=1,
        points=Points(POINTS, output="kps"),
        masks=Masks("maps", "boxes", activation="none"),
    )
    (result,) = look(spec, **split, kps=every[None], maps=maps[None, :, None])
    check_boxes(result.predictions)
    check_points(result.predictions, points)
    for prediction, cells in zip(result.predictions, maps, strict=False):
        assert prediction.mask is not None
        height, width = prediction.mask.inside.shape
        middle = prediction.mask.inside[height // 2, width // 2]
        assert middle == (cells[3, 3] > 0.5)
    # The same points of each anchor, turned: [N, P * 3, A].
    (result,) = look(
        Detect(points=Points(POINTS, output="kps")),
        output0=yolo(),
        kps=yolo(points)[:, 7:],
    )
    check_points(result.predictions, points)


def test_coordinates_and_points_may_be_fractions_of_the_input() -> None:
    _, points, _, _ = random_parts(2)
    output = yolo(points)
    output[:, :4] /= SIZE
    output[:, [7 + 3 * i + j for i in range(POINTS) for j in (0, 1)]] /= SIZE
    (result,) = look(Detect(normalized=True, points=Points(POINTS)), output0=output)
    check_boxes(result.predictions)
    check_points(result.predictions, points)


def test_points_without_confidence_are_sure_and_logits_are_activated() -> None:
    _, points, _, _ = random_parts(3)
    (result,) = look(Detect(points=Points(POINTS, values=2)), output0=yolo(points[..., :2]))
    points[..., 2] = 1
    check_points(result.predictions, points)
    (result,) = look(Detect(points=Points(POINTS)), output0=yolo(points + np.array([0, 0, 1])))  # a flag of visibility
    check_points(result.predictions, points)
    points[..., 2] = -2.0
    (result,) = look(Detect(points=Points(POINTS, activation="sigmoid")), output0=yolo(points))
    points[..., 2] = 1 / (1 + math.exp(2))
    check_points(result.predictions, points)


def test_points_beyond_the_picture_end_on_its_edge() -> None:
    points = np.zeros((3, POINTS, 3))
    points[..., :2] = [[-9, 0], [80, 3], [30, 99], [10, 20], [0, 57]]
    (result,) = look(Detect(points=Points(POINTS)), output0=yolo(points))
    told = [(point.x, point.y) for point in result.predictions[0].points]
    assert told == [(0, 0), (128, 0), (60, 100), (20, 26), (0, 100)]


def test_ultralytics_rtdetr_tells_centres_as_fractions() -> None:
    spec = Detect(format="final", columns=("box", "score", "class"), box="cxcywh", normalized=True)
    output = final(box="cxcywh")
    output[..., :4] /= SIZE
    check_boxes(look(spec, output0=output)[0].predictions)
    # Without columns it is what it was before they were: corners, whatever `box` says.
    check_boxes(look(Detect(format="final", box="cxcywh"), output0=final())[0].predictions)


def test_rows_of_a_whole_batch_tell_their_image() -> None:
    spec = Detect(format="final", columns=("batch", "box", "class", "score"), box="xyxy")
    rows = np.array([[image, *row[:4], row[5], row[4]] for image in (1, 0, 1) for row in final(rows=3)[0]])
    rows[:3, 5] = 0  # of image 1: another class
    first, second = look(spec, (PLACE, PLACE), output0=rows)
    check_boxes(first.predictions)
    assert [p.class_id for p in second.predictions] == [0, 2, 0, 0, 0, 1]
    assert look(spec, (PLACE, PLACE), output0=rows[:0])[1].verdict == "OK"
    with pytest.raises(EngineError, match="numbers of 1 images"):
        look(spec, output0=rows)
    with pytest.raises(EngineError, match="numbers of 2 images"):
        look(spec, (PLACE, PLACE), output0=rows + 0.3)


def test_rows_of_a_batch_find_their_own_masks() -> None:
    spec = Detect(format="final", columns=("batch", "box", "class", "score"), box="xyxy")
    spec = dataclasses.replace(spec, masks=Masks("maps", "image", activation="none"))
    rows = np.array([[image, *row[:4], row[5], row[4]] for image in (1, 0) for row in final(rows=3)[0]])
    maps = np.zeros((6, 8, 8))
    maps[4] = 1  # the second object of image 0
    first, second = look(spec, (PLACE, PLACE), output0=rows, maps=maps)
    areas = [[p.area and p.area > 0 for p in result.predictions] for result in (first, second)]
    assert areas == [[0, True, 0], [0, 0, 0]]


def test_ids_may_begin_later_than_with_zero() -> None:
    output = final()
    output[..., 5] += 1
    check_boxes(look(Detect(format="final", first_class=1), output0=output)[0].predictions)
    output[0, 3] = [1, 1, 9, 9, 0.8, 0]  # then the ids begin with 0 after all
    with pytest.raises(EngineError, match=r"class ids 1\.\.3"):
        look(Detect(format="final", first_class=1), output0=output)
    scores = np.concatenate([yolo()[:, :4], np.ones((1, 1, 20)), yolo()[:, 4:]], axis=1)
    check_boxes(look(Detect(first_class=1), output0=scores)[0].predictions)


def test_a_row_in_another_order_is_read_by_its_columns() -> None:
    angles, points, _, _ = random_parts(5)
    table = yolo(angles, points)[0].T
    box, classes, angle, more = np.split(table, [4, 7, 8], axis=1)
    shuffled = np.concatenate([more, np.full((20, 1), 77.0), classes, angle, box], axis=1)
    spec = Detect(
        columns=("points", "skip", "classes", "angle", "box"), angle="radians", points=Points(POINTS),
        axis="channels-last",
    )  # fmt: skip
    (result,) = look(spec, output0=shuffled[None])
    check_turned(result.predictions, angles)
    check_points(result.predictions, points)
    assert look(dataclasses.replace(spec, axis="channels-first"), output0=shuffled[None])[0] == result


def test_turned_boxes_are_suppressed_by_how_alike_they_are() -> None:
    # Two crossed bars: their upright rectangles are the same, they are not.
    table = np.zeros((3, 8))
    table[0] = [32, 32, 40, 4, 0.9, 0, 0, 0.785]
    table[1] = [32, 32, 40, 4, 0.8, 0, 0, 0.785 + 1.571]
    table[2] = [33, 32, 40, 4, 0.7, 0, 0, 0.785]
    (result,) = look(Detect(angle="radians"), output0=table.T[None])
    assert [round(p.confidence, 3) for p in result.predictions] == [0.9, 0.8]


def test_only_what_is_reported_has_its_parts_and_the_verdict_knows_all() -> None:
    _, points, _, _ = random_parts(1)
    spec = Detect(points=Points(POINTS), max_det=1)
    (result,) = look(spec, output0=yolo(points))
    assert len(result.predictions) == 1
    check_points(result.predictions, points[:1])
    assert result.reasons == ("open x1", "short x1", "spur x1")


def test_nothing_found_is_ok_with_all_parts_declared() -> None:
    spec = Detect(angle="radians", points=Points(POINTS), masks=Masks("protos", count=4))
    (result,) = look(spec, output0=np.zeros((1, 7 + 1 + 15 + 4, 20)), protos=np.zeros((1, 4, 8, 8)))
    assert (result.verdict, result.predictions) == ("OK", ())


SPLIT = {"a": np.zeros((1, 5, 4)), "b": np.zeros((1, 5)), "c": np.zeros((1, 5))}
TWO = {"a": np.ones((1, 5, 4)), "b": np.ones((1, 5, 3)), "p": np.zeros((1, 4, 8, 8))}


@pytest.mark.parametrize(
    ("spec", "outputs"),
    [
        (Detect(masks=Masks("gone", count=4)), {"output0": yolo(np.zeros((3, 4)))}),
        (Detect(masks=Masks("p", count=4)), {"output0": yolo(np.zeros((3, 4))), "p": np.zeros((1, 5, 8, 8))}),
        (Detect(points=Points(4, output="p")), {"output0": yolo(), "p": np.zeros((1, 20, 11))}),
        (Detect(format="final", points=Points(POINTS)), {"output0": final()}),
        (Detect(format="final-split", angle="radians"), SPLIT),
        (Detect(format="boxes-scores", masks=Masks("p", count=4)), TWO),
    ],
)
def test_parts_that_the_outputs_do_not_hold_are_an_error(spec: Detect, outputs: dict[str, Floats]) -> None:
    with pytest.raises(EngineError, match=r"expected|prototypes") as caught:
        look(spec, **outputs)
    assert "\n" not in str(caught.value)


def test_a_row_that_cannot_be_is_refused_in_the_manifest() -> None:
    for wrong in (
        {"columns": ("box",)},
        {"columns": ("score", "class")},
        {"columns": ("box", "box", "score")},
        {"columns": ("box", "classes", "angle")},
        {"columns": ("box", "classes", "points")},
        {"columns": ("box", "classes", "masks")},
        {"first_class": -1},
    ):
        with pytest.raises(ValueError, match=r"columns|first_class"):
            Detect(**wrong)


def test_corners_of_a_turned_box_go_round_it() -> None:
    corners = np.array(OrientedBox(10, 20, 4, 2, 0.0).corners())
    assert corners.tolist() == [[8, 19], [12, 19], [12, 21], [8, 21]]
