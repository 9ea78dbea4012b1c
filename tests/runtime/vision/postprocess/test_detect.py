from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.results import Result
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.postprocess.grid import grid_points
from edge_runtime.vision.settings import Settings

Floats = NDArray[Any]

SIZE = 64
# A letterboxed image of 128x100 pixels, 7 rows of padding above.
PLACE = Placement(128, 100, SIZE, SIZE, 0.5, 0.5, 0.0, 7.0)
LABELS = ("open", "short", "spur")
# x1 y1 x2 y2 in input pixels, score, class
OBJECTS = [((4.0, 10.0, 20.0, 26.0), 0.9, 2), ((30.0, 30.0, 50.0, 42.0), 0.7, 0), ((31.0, 30.0, 50.0, 42.0), 0.6, 1)]


def facts_of(spec: Detect, outputs: int, labels: tuple[str, ...] = LABELS) -> ModelFacts:
    return ModelFacts(
        inputs=(),
        outputs=tuple(TensorSpec(f"out{i}", "float32", ("N",)) for i in range(outputs)),
        preprocess=None,
        postprocess=spec,
        labels=labels,
        thresholds=Thresholds(),
        verdict=VerdictRule("any"),
    )


def look(spec: Detect, *outputs: Floats, labels: tuple[str, ...] = LABELS, **overrides: Any) -> Result:
    facts = facts_of(spec, len(outputs), labels)
    named = {f"out{i}": array.astype(np.float32) for i, array in enumerate(outputs)}
    return interpret(facts, named, [PLACE], Settings.of(facts, **overrides))[0]


def check_objects(result: Result) -> None:
    assert [prediction.name for prediction in result.predictions] == ["spur", "open", "short"]
    assert result.verdict == "NG"
    assert result.reasons == ("open x1", "short x1", "spur x1")
    for found, (box, score, class_id) in zip(result.predictions, OBJECTS, strict=True):
        assert found.class_id == class_id
        assert found.confidence == pytest.approx(score, abs=1e-5)
        assert found.box is not None
        original = [2 * box[0], 2 * (box[1] - 7), 2 * box[2], 2 * (box[3] - 7)]
        np.testing.assert_allclose([found.box.x1, found.box.y1, found.box.x2, found.box.y2], original, atol=1e-3)


def centered() -> Floats:
    boxes = np.array([box for box, _, _ in OBJECTS])
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def rows(anchors: int, objectness: float | None = None, where: tuple[int, ...] = (3, 5, 8)) -> Floats:
    """[anchors, 4 + (objectness) + C] with the objects at rows `where`, everything else zero."""
    first = 4 if objectness is None else 5
    table = np.zeros((anchors, first + len(LABELS)))
    for index, center, (_, score, class_id) in zip(where, centered(), OBJECTS, strict=True):
        table[index, :4] = center
        table[index, first + class_id] = score / (objectness or 1.0)
        if objectness is not None:
            table[index, 4] = objectness
    return table


def grid_rows(objectness: float | None) -> Floats:
    points = grid_points(SIZE, SIZE, (8, 16, 32))
    where = (10, 70, 81)
    table = rows(len(points), objectness, where)
    table[:, :4] = 0
    for index, center in zip(where, centered(), strict=True):
        gx, gy, stride = points[index]
        table[index, :4] = [center[0] / stride - gx, center[1] / stride - gy, *np.log(center[2:] / stride)]
    return table


def logits(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.clip(probabilities, 1e-6, None)))


def class_scores(background: str) -> Floats:
    """[6, C+1] probabilities, the objects in rows 1, 2 and 4, the rest background."""
    foreground = np.zeros((6, len(LABELS)))
    for index, (_, score, class_id) in zip((1, 2, 4), OBJECTS, strict=True):
        foreground[index, class_id] = score
    nothing = 1 - foreground.sum(axis=1, keepdims=True)
    return np.concatenate([nothing, foreground] if background == "first" else [foreground, nothing], axis=1)


def six_boxes() -> Floats:
    boxes = np.zeros((6, 4))
    boxes[[1, 2, 4]] = [box for box, _, _ in OBJECTS]
    return boxes


def test_yolo_is_read_with_channels_first() -> None:
    check_objects(look(Detect(), rows(20).T[None]))


def test_yolo_is_read_transposed() -> None:
    check_objects(look(Detect(axis="channels-last"), rows(20)[None]))


def test_the_number_of_labels_corrects_a_wrong_axis() -> None:
    check_objects(look(Detect(axis="channels-first"), rows(20)[None]))


def test_yolo_logits_are_activated() -> None:
    table = rows(20)
    scores = np.clip(table[:, 4:], 1e-6, None)
    table[:, 4:] = np.log(scores / (1 - scores))
    check_objects(look(Detect(activation="sigmoid"), table.T[None]))


def test_yolo_boxes_may_be_normalized() -> None:
    table = rows(20)
    table[:, :4] /= SIZE
    check_objects(look(Detect(normalized=True), table.T[None]))


def test_yolov5_scores_are_objectness_times_class() -> None:
    check_objects(look(Detect(format="yolo-objectness"), rows(20, objectness=0.95)[None]))


@pytest.mark.parametrize("objectness", [None, 0.92])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("axis", ["channels-first", "channels-last"])
def test_grids_are_decoded_in_either_order(objectness: float | None, turned: bool, axis: Any) -> None:
    spec = Detect(format="grid", axis=axis, strides=(8, 16, 32), objectness=objectness is not None)
    table = grid_rows(objectness)
    check_objects(look(spec, (table.T if turned else table)[None]))


def test_a_grid_of_another_input_size_is_refused() -> None:
    spec = Detect(format="grid", axis="channels-last", strides=(8, 16), objectness=True)
    with pytest.raises(EngineError, match="expected 80 anchor points"):
        look(spec, grid_rows(0.9)[None])


def test_fastestdet_is_decoded() -> None:
    height = width = 4
    output = np.zeros((5 + len(LABELS), height, width))
    for (gx, gy), center, (_, score, class_id) in zip(((0, 1), (2, 2), (3, 2)), centered(), OBJECTS, strict=True):
        x, y, w, h = center / SIZE
        offset = np.arctanh([x * width - gx, y * height - gy])
        size = np.log([w / (1 - w), h / (1 - h)])
        output[:5, gy, gx] = [0.95, *offset, *size]
        output[5 + class_id, gy, gx] = (score / 0.95**0.6) ** (1 / 0.4)  # score = objectness^0.6 * class^0.4
    check_objects(look(Detect(format="fastest"), output[None]))


@pytest.mark.parametrize("background", ["first", "last"])
def test_ssd_and_detr_scores_leave_the_background_out(background: Any) -> None:
    spec = Detect(format="boxes-scores", box="xyxy", background=background, activation="softmax")
    check_objects(look(spec, six_boxes()[None], logits(class_scores(background))[None]))


def test_boxes_may_be_normalized_and_begin_with_y() -> None:
    spec = Detect(format="boxes-scores", box="yxyx", normalized=True, background="last")
    boxes = six_boxes()[:, [1, 0, 3, 2]] / SIZE
    check_objects(look(spec, boxes[None], class_scores("last")[None]))


def test_class_scores_may_lie_the_other_way_round() -> None:
    spec = Detect(format="boxes-scores", box="xyxy")
    check_objects(look(spec, six_boxes()[None], class_scores("first")[None, :, 1:].transpose(0, 2, 1)))


def test_outputs_are_found_by_name() -> None:
    spec = Detect(format="boxes-scores", box="xyxy", background="first", outputs=("out1", "out0"))
    check_objects(look(spec, class_scores("first")[None], six_boxes()[None]))


def test_named_anchors_are_moved_by_the_boxes() -> None:
    anchors = np.tile([0.0, 0.0, 16.0, 8.0], (6, 1))
    offsets = (six_boxes() - anchors) / [16, 8, 16, 8]
    spec = Detect(format="boxes-scores", box="xyxy", background="first", outputs=("out0", "out1", "out2"))
    check_objects(look(spec, offsets[None], class_scores("first")[None], anchors[None]))


def test_an_unnamed_third_output_is_no_anchors() -> None:
    spec = Detect(format="boxes-scores", box="xyxy", background="first")
    check_objects(look(spec, six_boxes()[None], class_scores("first")[None], np.ones((1, 6, 256))))


def test_final_detections_are_taken_as_they_are() -> None:
    table = np.zeros((8, 6))
    table[[0, 3, 5]] = [[*box, score, class_id] for box, score, class_id in OBJECTS]
    table[6] = -1
    check_objects(look(Detect(format="final"), table[None]))


def test_tensorflows_four_outputs_end_at_their_count() -> None:
    boxes = np.array([box for box, _, _ in OBJECTS] + [(0, 0, 9, 9)])[:, [1, 0, 3, 2]] / SIZE
    classes = np.array([class_id for _, _, class_id in OBJECTS] + [1])
    scores = np.array([score for _, score, _ in OBJECTS] + [0.99])
    spec = Detect(format="final-split", box="yxyx", normalized=True)
    check_objects(look(spec, boxes[None], classes[None], scores[None], np.array([3])))
    # torchvision counts its classes from the background on
    spec = Detect(format="final-split", box="yxyx", normalized=True, background="first")
    check_objects(look(spec, boxes[None, :3], classes[None, :3] + 1, scores[None, :3]))


def test_overlapping_objects_of_one_class_become_one() -> None:
    table = rows(20)
    table[8, 4:] = [0.6, 0.0, 0.0]  # the third object is now of the second one's class
    assert [p.name for p in look(Detect(), table.T[None]).predictions] == ["spur", "open"]
    assert len(look(Detect(nms=False), table.T[None]).predictions) == 3
    assert len(look(Detect(class_agnostic=True), rows(20).T[None]).predictions) == 2


def test_settings_choose_what_is_reported() -> None:
    output = rows(20).T[None]
    assert [p.name for p in look(Detect(), output, confidence=0.65).predictions] == ["spur", "open"]
    assert [p.name for p in look(Detect(), output, max_det=1).predictions] == ["spur"]
    assert [p.name for p in look(Detect(), output, classes=["open", 1]).predictions] == ["open", "short"]


def test_nothing_found_is_ok_and_unlabelled_classes_are_numbered() -> None:
    result = look(Detect(), np.zeros((1, 7, 20)))
    assert (result.verdict, result.reasons, result.predictions) == ("OK", (), ())
    result = look(Detect(), rows(20).T[None], labels=())
    assert [p.name for p in result.predictions] == ["class_2", "class_0", "class_1"]


def test_a_model_that_suppresses_itself_may_give_no_row() -> None:
    assert look(Detect(format="final"), np.zeros((1, 0, 6))).verdict == "OK"


def test_boxes_in_the_padding_are_dropped() -> None:
    table = rows(20)
    table[3, :4] = [10, 3, 6, 6]  # rows 0..6 of the input are padding
    assert [p.name for p in look(Detect(), table.T[None]).predictions] == ["open", "short"]


def test_each_image_of_a_batch_has_its_own_result() -> None:
    facts = facts_of(Detect(), 1)
    output = np.stack([np.zeros((7, 20)), rows(20).T]).astype(np.float32)
    first, second = interpret(facts, {"out0": output}, [PLACE, PLACE], Settings.of(facts))
    assert first.verdict == "OK"
    check_objects(second)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 1, 2), (0, 6, 19)])
def test_a_nan_is_an_error_and_never_an_empty_frame(poison: float, where: tuple[int, ...]) -> None:
    output = np.zeros((1, 7, 20))
    output[where] = poison
    with pytest.raises(EngineError, match="NaN or infinity"):
        look(Detect(), output)


def test_a_size_that_overflows_is_an_error() -> None:
    table = grid_rows(0.9)
    table[10, 2] = 1000.0
    with pytest.raises(EngineError, match="NaN or infinity"):
        look(Detect(format="grid", strides=(8, 16, 32), objectness=True), table[None])


@pytest.mark.parametrize("value", [-6.0, 6.0])
def test_logits_taken_for_scores_are_an_error(value: float) -> None:
    output = np.zeros((1, 7, 20))
    output[0, 5, 3] = value
    with pytest.raises(EngineError, match="--activation"):
        look(Detect(), output)


@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        (Detect(), [(1, 7, 5, 5)]),
        (Detect(), [(1, 3, 3)]),
        (Detect(), [(1, 7, 0)]),
        (Detect(format="fastest"), [(1, 8, 20)]),
        (Detect(format="boxes-scores"), [(1, 6, 4)]),
        (Detect(format="boxes-scores"), [(1, 6, 5), (1, 6, 3)]),
        (Detect(format="boxes-scores"), [(1, 6, 4), (1, 7, 3)]),
        (Detect(format="boxes-scores", background="first"), [(1, 6, 4), (1, 6, 1)]),
        (Detect(format="final"), [(1, 6, 7)]),
        (Detect(format="final-split"), [(1, 6, 4), (1, 6)]),
        (Detect(format="final-split"), [(1, 6, 4), (1, 5), (1, 6)]),
        (Detect(outputs=("missing",)), [(1, 7, 20)]),
        (Detect(), [(2, 7, 20)]),
    ],
)
def test_outputs_of_another_shape_are_refused_in_one_line(spec: Detect, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(EngineError, match="expected") as caught:
        look(spec, *(np.zeros(shape) for shape in shapes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limits", [{"classes": ["spur"]}, {"max_det": 1}])
def test_limits_on_reported_objects_do_not_turn_the_verdict(limits: dict[str, Any]) -> None:
    result = look(Detect(), rows(20).T[None], **limits)
    assert [p.name for p in result.predictions] == ["spur"]
    assert result.reasons == ("open x1", "short x1", "spur x1")
