"""Models whose files name their family: LibreYOLO's by metadata, effdet's by its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from family_layouts import ALL, PLACE, Shapes, by_stride, shown_of
from numpy.typing import NDArray

from edge_export.model.families import FAMILIES, Reading, recognise
from edge_export.model.families.choose import candidates as choose
from edge_export.model.families.common import ANCHORS_UNTOLD, MEAN_UNTOLD
from edge_export.state import FactFlags
from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.postprocess.detect import candidates

_BOX = (40.0, 60.0, 140.0, 200.0)  # x1 y1 x2 y2
_CENTRE = (90.0, 130.0, 100.0, 140.0)
_SCORES = (0.1, 0.8, 0.2)


def _libreyolo(family: str, shapes: Shapes, **more: str) -> Reading:
    properties = {"libreyolo_version": "1.6.0", "model_family": family, "task": "detect", "names": "{}", **more}
    return recognise(replace(shown_of(shapes, 3), properties=properties), FAMILIES).readings[0]


def _filled(shapes: Shapes, rows: dict[str, tuple[float, ...]], turned: bool = False) -> dict[str, NDArray[np.float32]]:
    """Outputs whose cell 7 holds the row, and which are 0 elsewhere."""
    answers = {name: np.zeros(tuple(int(str(size)) for size in shape), np.float32) for name, shape in shapes.items()}
    for name, row in rows.items():
        answers[name][(0, slice(None), 7) if turned else (0, 7)] = row
    return answers


_CELLS: Shapes = {"output": (1, ALL, 7)}
_COLUMNS: Shapes = {"output": (1, 7, ALL)}
_NAS: Shapes = {"pred_logits": (1, ALL, 4), "pred_boxes": (1, ALL, 3)}
_ENDED: Shapes = {"output": (1, 300, 6), "raw": (1, 7, ALL)}
_FIVE_THOUSAND: Shapes = {"output": (1, 5000, 6)}


@pytest.mark.parametrize(
    ("family", "name", "shapes", "rows"),
    [
        ("yolo9", "yolo9", _COLUMNS, {"output": (*_BOX, *_SCORES)}),
        ("yolo7", "yolo7", _COLUMNS, {"output": (*_BOX, *_SCORES)}),
        ("ssd", "ssd", _COLUMNS, {"output": (*_BOX, *_SCORES)}),
        ("rtmdet", "rtmdet", _CELLS, {"output": (*_BOX, *_SCORES)}),
        ("picodet", "picodet", _CELLS, {"output": (*_BOX, *_SCORES)}),
        ("yolox", "yolox", {"output": (1, ALL, 8)}, {"output": (*_CENTRE, 1.0, *_SCORES)}),
        ("yolonas", "yolonas", _NAS, {"pred_logits": _BOX, "pred_boxes": _SCORES}),
        ("ppyoloe", "ppyoloe", {"boxes": (1, ALL, 4), "scores": (1, ALL, 3)}, {"boxes": _BOX, "scores": _SCORES}),
        ("yolo9", "yolo9-nms", _ENDED, {"output": (*_BOX, 0.8, 1.0)}),
        ("efficientdet", "efficientdet", _FIVE_THOUSAND, {"output": (*_BOX, 0.8, 1.0)}),
    ],
)
def test_libreyolos_metadata_tell_what_its_outputs_mean(
    family: str, name: str, shapes: Shapes, rows: dict[str, tuple[float, ...]]
) -> None:
    reading = _libreyolo(family, shapes)
    assert (reading.family.name, reading.told, reading.unsure) == (f"libreyolo-{name}", "libreyolo metadata", "")
    _holds_the_box(reading, shapes, _filled(shapes, rows, turned=shapes == _COLUMNS))


def _holds_the_box(reading: Reading, shapes: Shapes, answers: dict[str, NDArray[np.float32]]) -> None:
    """Whether one object is found: the box, its score, and the second class."""
    assert isinstance(reading.postprocess, Detect)
    outputs = tuple(TensorSpec(key, "float32", ("N",)) for key in shapes)
    facts = ModelFacts((), outputs, None, reading.postprocess, (), Thresholds(), VerdictRule("any"))
    (found,) = candidates(reading.postprocess, facts, answers, [PLACE], 0.5)
    assert found.boxes.round(3).tolist() == [list(_BOX)]
    assert (found.classes.tolist(), found.scores.round(3).tolist()) == ([1], pytest.approx([0.8]))


def test_queries_are_scored_each_class_by_itself() -> None:
    reading = _libreyolo("deim", {"pred_logits": (1, 300, 3), "pred_boxes": (1, 300, 4)})
    post = reading.postprocess
    assert isinstance(post, Detect)
    assert (reading.family.name, post.outputs) == ("libreyolo-dfine", ("pred_boxes", "pred_logits"))
    assert (post.activation, post.normalized, post.background) == ("sigmoid", True, "none")


@pytest.mark.parametrize(
    ("family", "shapes", "more", "colour", "fit", "anchor", "whole"),
    [
        ("yolox", {"output": (1, ALL, 8)}, {}, "bgr", "letterbox", "top-left", True),
        ("rtmdet", _CELLS, {}, "bgr", "letterbox", "top-left", True),
        ("yolo9", _COLUMNS, {"letterbox_pad": "topleft"}, "rgb", "letterbox", "top-left", False),
        ("yolo9", _COLUMNS, {"letterbox_pad": "center"}, "rgb", "letterbox", "center", False),
        ("picodet", _CELLS, {}, "rgb", "stretch", "center", False),
    ],
)
def test_libreyolos_families_have_pixels_of_their_own(
    family: str, shapes: Shapes, more: dict[str, str], colour: str, fit: str, anchor: str, whole: bool
) -> None:
    pre = _libreyolo(family, shapes, **more).preprocess
    assert pre is not None
    assert (pre.colour, pre.fit, pre.anchor, pre.scale == 1.0) == (colour, fit, anchor, whole)


def test_deimv2s_sizes_differ_in_the_mean() -> None:
    shapes: Shapes = {"pred_logits": (1, 300, 3), "pred_boxes": (1, 300, 4)}
    small, large = (_libreyolo("deimv2", shapes, size=size).preprocess for size in ("n", "s"))
    assert small is not None
    assert large is not None
    assert (small.mean[0], large.mean[0]) == (0.0, 0.485)


def test_no_row_of_libreyolos_is_for_other_files_and_its_files_are_not_ultralytics() -> None:
    found = recognise(shown_of(_COLUMNS, 3), FAMILIES).readings
    assert not [one for one in found if one.family.name.startswith("libreyolo")]
    unknown = {"libreyolo_version": "9", "model_family": "yolo99", "task": "detect", "names": "{}"}
    readings = recognise(replace(shown_of(_COLUMNS, 3), properties=unknown), FAMILIES).readings
    assert not [one for one in readings if one.told]


def test_effdets_weights_name_it_and_its_mean_is_left_to_a_flag() -> None:
    shapes: Shapes = {"2175": (1, None, 6)}
    shown = replace(
        shown_of(shapes),
        weights=frozenset({"model.class_net.predict.conv_pw.bias", "model.box_net.predict.conv_pw.bias"}),
    )
    reading = recognise(shown, FAMILIES).readings[0]
    assert (reading.family.name, reading.told, reading.unsure) == ("effdet", "names of weights", MEAN_UNTOLD)
    answers = {"2175": np.zeros((1, 100, 6), np.float32)}
    answers["2175"][0, 0] = (*_BOX, 0.8, 2.0)  # the first class is 1
    _holds_the_box(reading, shapes, answers)
    flagged = choose(shown, FactFlags(preprocess={"mean": [0.485, 0.456, 0.406]}), FAMILIES).readings[0]
    assert (flagged.family.name, flagged.unsure) == ("effdet", "")
    assert "effdet" not in [one.family.name for one in recognise(shown_of(shapes), FAMILIES).readings]


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("mmdeploy", {"dets": (1, None, 5), "labels": ("int", 1, None)}),
        ("mmdeploy-masks", {"dets": (1, None, 5), "labels": ("int", 1, None), "masks": (1, None, 320, 320)}),
        ("mmdeploy-people", {"dets": (1, None, 5), "keypoints": (1, None, 17, 3)}),
    ],
)
def test_mmdeploy_calls_its_outputs_so_and_leaves_mmdetections_colours_to_its_pipeline(
    name: str, shapes: Shapes
) -> None:
    reading = recognise(shown_of(shapes), FAMILIES).readings[0]
    assert (reading.family.name, reading.told) == (name, "names of outputs")
    assert bool(reading.unsure) == (name != "mmdeploy-people")  # RTMO and YOLOX-Pose take the same pixels


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("paddle-detection", {"fetch_name_0": (None, 6), "fetch_name_1": ("int", 1)}),
        ("ppyoloe-without-nms", {"fetch_name_0": (1, ALL, 4), "fetch_name_1": (1, 80, ALL)}),
    ],
)
def test_the_inputs_of_paddle_detection_name_it_where_paddle_3_numbers_its_outputs(name: str, shapes: Shapes) -> None:
    theirs = replace(shown_of(shapes), inputs=("image", "scale_factor"))
    reading = recognise(theirs, FAMILIES).readings[0]
    assert (reading.family.name, reading.told) == (name, "names of inputs")
    others = recognise(shown_of(shapes), FAMILIES).readings
    assert [one.told for one in others if one.family.name == name] == [""]


@pytest.mark.parametrize(("layer", "unsure"), [(105, ""), (77, ANCHORS_UNTOLD)])
def test_heads_of_yolov7_tiny_leave_their_anchors_to_a_flag(layer: int, unsure: str) -> None:
    shown = replace(
        shown_of(by_stride("o{}", (1, 3, "side", "side", 85))), weights=frozenset({f"model.{layer}.m.0.bias"})
    )
    reading = recognise(shown, FAMILIES).readings[0]
    assert (reading.family.name, reading.unsure) == ("yolov7-heads", unsure)
