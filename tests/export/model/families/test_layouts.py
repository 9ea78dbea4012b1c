"""Rows of families whose outputs are heads, faces, or finished boxes: recognised by names and shapes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from family_layouts import ALL, LAYOUTS, Shapes, by_stride, scrfd, shown_of

from edge_export.model.families import FAMILIES, Reading, recognise
from edge_runtime.bundle.postprocess_spec import Detect


def _readings(shapes: Shapes, labels: int = 0) -> dict[str, Reading]:
    return {reading.family.name: reading for reading in recognise(shown_of(shapes, labels), FAMILIES).readings}


@pytest.mark.parametrize(("name", "shapes", "labels"), LAYOUTS, ids=[layout[0] for layout in LAYOUTS])
def test_a_layout_is_recognised_by_its_names_and_shapes(name: str, shapes: Shapes, labels: int) -> None:
    readings = _readings(shapes, labels)
    assert name in readings, list(readings)
    post = readings[name].postprocess
    assert isinstance(post, Detect)
    assert set(post.outputs) <= set(shapes)


@pytest.mark.parametrize(
    ("shapes", "not_there"),
    [
        (by_stride("o{}", (1, 3, "side", "side", 85), (8, 16, 64)), "yolov5-heads"),
        (scrfd((1,)) | {"1_8": (1, 1600, 1)}, "scrfd-landmarks"),
        ({"batchno_classid_score_x1y1x2y2": (None, 7)}, "yolov7-end2end"),
        ({"scores": (1, ALL, 80), "boxes": (1, ALL, 4)}, "yolo-nas"),
        ({"boxes": (1, ALL, 4), "scores": (1, ALL, 80)}, "damo-yolo"),
        ({"boxes": (None, 5), "labels": ("int", None), "masks": (None, 28, 28)}, "geti-one-picture"),
    ],
)
def test_a_layout_that_only_resembles_is_none(shapes: Shapes, not_there: str) -> None:
    assert not_there not in _readings(shapes)


@pytest.mark.parametrize(
    ("output", "columns", "box"),
    [
        ("batchno_classid_score_x1y1x2y2", ("batch", "class", "score", "box"), "xyxy"),
        ("batchno_classid_x1y1x2y2_score", ("batch", "class", "box", "score"), "xyxy"),
        ("final_batchno_classid_score_y1x1y2x2", ("batch", "class", "score", "box"), "yxyx"),
    ],
)
def test_pintos_outputs_name_their_columns(output: str, columns: tuple[str, ...], box: str) -> None:
    post = _readings({output: (None, 7)})["pinto"].postprocess
    assert isinstance(post, Detect)
    assert (post.columns, post.box) == (columns, box)


def test_persons_of_yolo_nas_are_counted() -> None:
    shapes: Shapes = {
        "graph2_num_predictions": ("int", 1, 1),
        "graph2_post_nms_boxes": (1, 500, 4),
        "graph2_post_nms_scores": (1, 500),
        "graph2_post_nms_joints": (1, 500, 17, 3),
    }
    post = _readings(shapes)["yolo-nas-pose-batch-without-preprocessing"].postprocess
    assert isinstance(post, Detect)
    assert post.outputs == ("graph2_post_nms_boxes", "graph2_post_nms_scores", "graph2_num_predictions")
    assert post.points is not None
    assert (post.points.count, post.points.output) == (17, "graph2_post_nms_joints")


def test_outputs_of_scrfd_are_read_in_their_order() -> None:
    post = _readings(scrfd((1,)))["scrfd-landmarks"].postprocess
    assert isinstance(post, Detect)
    assert post.outputs == tuple(scrfd((1,)))


def test_class_ids_from_zero_are_told_by_pictures() -> None:
    shapes: Shapes = {"boxes": (None, 4), "labels": ("int", None), "scores": (None,)}
    readings = _readings(shapes)
    seen = {"boxes": np.zeros((2, 4)), "labels": np.array([2, 0]), "scores": np.array([0.9, 0.6])}
    unseen = {**seen, "scores": np.array([0.9, 0.0])}
    for answers, fitting in ((seen, "torchvision-from-0"), (unseen, "torchvision")):
        found = [name for name, one in readings.items() if not one.family.fits(one.match, [answers])]
        assert [name for name in found if name.startswith("torchvision")] == [fitting]


def _fitting(shapes: Shapes, labels: int, ids: list[int], start: str) -> list[str]:
    """The rows that begin so and that two objects of these ids leave."""
    boxes, classes, scores = (next(name for name in shapes if part in name) for part in ("box", "lab", "scor"))
    answers = {boxes: np.zeros((2, 4)), classes: np.array(ids), scores: np.array([0.9, 0.6])}
    readings = _readings(shapes, labels).items()
    fitting = [name for name, one in readings if not one.family.fits(one.match, [answers])]
    return sorted(name for name in fitting if name.startswith(start))


@pytest.mark.parametrize(
    ("order", "labels", "ids", "left"),
    [
        ("boxes scores labels", 3, [1, 2], ["torchvision", "torchvision-from-0"]),  # RetinaNet: nothing tells
        ("boxes scores labels", 3, [1, 3], ["torchvision"]),
        ("boxes scores labels", 3, [0, 2], ["torchvision-from-0"]),
        ("boxes scores labels", 80, [1, 2], ["torchvision"]),  # COCO's
        ("boxes labels scores", 3, [1, 2], ["torchvision"]),  # an R-CNN has a background
    ],
)
def test_a_head_without_background_may_count_from_zero(
    order: str, labels: int, ids: list[int], left: list[str]
) -> None:
    forms: Shapes = {"boxes": (None, 4), "labels": ("int", None), "scores": (None,)}
    shapes: Shapes = {name: forms[name] for name in order.split()}
    assert _fitting(shapes, labels, ids, "torchvision") == left


def test_the_scores_of_a_pytorch_ssd_are_one_together() -> None:
    reading = _readings({"scores": (1, 3000, 4), "boxes": (1, 3000, 4)})["pytorch-ssd"]
    scores = np.full((1, 3000, 4), 0.25)
    boxes = np.zeros((1, 3000, 4))
    assert not reading.family.fits(reading.match, [{"scores": scores, "boxes": boxes}])
    assert reading.family.fits(reading.match, [{"scores": scores * 0.5, "boxes": boxes}])
    assert "pytorch-ssd" not in _readings({"scores": (1, 4420, 2), "boxes": (1, 4420, 4)})  # a face detector's


@pytest.mark.parametrize(("labels", "ids", "first"), [(0, [1, 2], 0), (3, [1, 2], 0), (3, [1, 3], 1), (3, [0, 1], 0)])
def test_tensorflow_lite_counts_from_zero_unless_the_labels_say_otherwise(
    labels: int, ids: list[int], first: int
) -> None:
    numbered = [f"StatefulPartitionedCall:{number}" for number in (3, 2, 1, 0)]
    shapes: Shapes = {numbered[0]: (1, 10, 4), numbered[1]: (1, 10), numbered[2]: (1, 10), numbered[3]: (1,)}
    answers = dict(zip(numbered, (np.zeros((1, 2, 4)), np.array([ids]), np.array([[0.9, 0.6]])), strict=False))
    readings = _readings(shapes, labels).values()
    left = [one for one in readings if not one.family.fits(one.match, [answers])]
    plain = [one.postprocess for one in left if "scores-first" not in one.family.name]
    assert [post.first_class for post in plain if isinstance(post, Detect)] == [first]


@pytest.mark.parametrize(
    ("weight", "name"),
    [("model.24.m.0.weight", "yolov5-heads"), ("model.model.105.m.2.bias", "yolov7-heads"), ("conv1", None)],
)
def test_names_of_weights_tell_yolov5s_heads_from_yolov7s(weight: str, name: str | None) -> None:
    shown = replace(
        shown_of(by_stride("o{}", (1, 3, "side", "side", 8)), 3), weights=frozenset({weight, "model.0.conv"})
    )
    found = [one for one in recognise(shown, FAMILIES).readings if one.family.name.endswith("-heads")]
    assert [(one.family.name, one.told) for one in found] == (
        [(name, "names of weights")] if name else [("yolov5-heads", ""), ("yolov7-heads", "")]
    )


def test_yolov5_enlarges_scores_of_masks_and_its_successors_sums() -> None:
    masks = {"yolov5-seg": (1, 3 * ALL, 117), "yolov8-seg": (1, 116, ALL)}
    for name, shape in masks.items():
        readings = _readings({"output0": shape, "output1": (1, 32, 160, 160)}, labels=80)
        post = readings[name].postprocess
        assert isinstance(post, Detect)
        assert post.masks is not None
        assert post.masks.enlarged == ("scores" if name == "yolov5-seg" else "sums")


def test_lines_of_key_points_are_known_by_name_and_want_to_know_what_was_cut_out() -> None:
    shapes: Shapes = {"simcc_x": (1, 17, 640), "simcc_y": (1, 17, 640)}
    reading = _readings(shapes)["rtmpose"]
    post = reading.postprocess
    assert isinstance(post, Detect)
    assert (post.format, post.outputs, post.points and post.points.count) == ("simcc", ("simcc_x", "simcc_y"), 17)
    assert reading.told
    assert "--fit" in reading.unsure
    assert "rtmpose" not in _readings({"simcc_x": (1, 17, 640), "simcc_y": (1, 17, 320)})


def test_paddles_corners_and_scores_in_one_output_are_known_by_their_names() -> None:
    shown = replace(shown_of({"fetch_name_0": (1, ALL, 84)}), inputs=("image",))
    found = {reading.family.name: reading for reading in recognise(shown, FAMILIES).readings}
    assert found["ppyoloe-rows"].postprocess == Detect(format="yolo", box="xyxy", axis="channels-last")
    assert found["ppyoloe-rows"].told
    assert "ppyoloe-rows" not in _readings({"fetch_name_0": (1, ALL, 84)})


def test_yolo_nas_without_its_nms_is_told_by_the_names_of_its_heads() -> None:
    shown = shown_of({"1140": (1, ALL, 4), "1132": (1, ALL, 3)})
    named = replace(shown, weights=frozenset({"model.heads.head1.cls_pred.weight"}))
    for one, told in ((shown, ""), (named, "names of weights")):
        assert next(r for r in recognise(one, FAMILIES).readings if r.family.name == "yolo-nas").told == told
