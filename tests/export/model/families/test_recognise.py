"""Which rows of the families table a model's shapes fit, and what is said of those that do not."""

from __future__ import annotations

import numpy as np

from edge_export.model.families import FAMILIES, Family, Out, Shown, recognise
from edge_export.model.families.choose import candidates
from edge_export.model.families.common import ANCHORS_UNTOLD, FIT_UNTOLD
from edge_export.model.families.ranges import offsets
from edge_export.model.graph_io import ImageInput, Output
from edge_export.state import FactFlags
from edge_runtime.bundle.postprocess_spec import Detect

_IMAGE = ImageInput("images", 320, 320, 3, "nchw", "float32")


def _shown(*outputs: Output, labels: int = 0, **properties: str) -> Shown:
    names = tuple(f"class {index}" for index in range(labels)) or None
    return Shown(_IMAGE, outputs, properties, names)


def _names(shown: Shown) -> list[str]:
    return [reading.family.name for reading in recognise(shown, FAMILIES).readings]


def test_names_of_families_are_unique() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


def test_a_sum_binds_the_classes_from_the_cells() -> None:
    reading = recognise(_shown(Output("output0", (1, 84, 2100))), FAMILIES).readings[0]
    assert reading.family.name == "yolov8"
    assert reading.match.sizes["C"] == 80


def test_rows_of_the_same_shape_are_all_candidates() -> None:
    shown = _shown(Output("output0", (1, 300, 6)), labels=2, names="...", task="detect")
    assert {"yolov8-transposed", "yolov10", "rtdetr-ultralytics", "rtdetr-ultralytics-final"} <= set(_names(shown))


def test_metadata_tell_what_shapes_leave_open() -> None:
    shown = _shown(Output("output0", (1, 300, 6)), labels=2, names="...", task="detect", end2end="True")
    first = recognise(shown, FAMILIES).readings[0]
    assert (first.family.name, first.told) == ("yolov10", "ultralytics metadata")


def test_a_miss_says_the_number_that_does_not_fit() -> None:
    shown = _shown(Output("output0", (1, 9, 2100)), labels=3, names="...", task="detect")
    found = recognise(shown, FAMILIES)
    assert not found.readings
    assert any("9 is not 4+C = 7" in miss.reason for miss in found.nearest)


def test_what_a_second_output_binds_is_asked_of_the_first() -> None:
    family = Family(
        "one", "test", (Out(("N", "4+C+M", "*")), Out(("N", "M", "*", "*"))), lambda match: Detect(format="yolo")
    )
    good = _shown(Output("a", (1, 40, 10)), Output("b", (1, 32, 8, 8)), labels=4)
    bad = _shown(Output("a", (1, 41, 10)), Output("b", (1, 32, 8, 8)), labels=4)
    assert recognise(good, (family,)).readings[0].match.sizes["M"] == 32
    assert "is not" in recognise(bad, (family,)).nearest[0].reason


def test_outputs_are_found_by_name_in_any_order() -> None:
    shown = _shown(Output("labels", (1, 300, 91)), Output("dets", (1, 300, 4)))
    reading = recognise(shown, FAMILIES).readings[0]
    assert reading.family.name == "rfdetr"
    assert reading.match.names == ("dets", "labels")


def test_a_dimension_that_the_graph_does_not_tell_fits_anything() -> None:
    assert "yolov8" in _names(_shown(Output("output0", (None, None, None))))


def _heads(classes: int) -> Shown:
    return _shown(*(Output(f"o{stride}", (1, 3, 320 // stride, 320 // stride, 5 + classes)) for stride in (8, 16, 32)))


def test_anchors_are_cocos_where_the_classes_are_and_else_a_flag_tells_them() -> None:
    first = recognise(_heads(80), FAMILIES).readings[0]
    assert (first.family.name, first.unsure) == ("yolov5-heads", "")
    assert recognise(_heads(3), FAMILIES).readings[0].unsure == ANCHORS_UNTOLD
    said = FactFlags(postprocess={"anchors": [float(side) for side in range(1, 19)]})
    (one, *_) = candidates(_heads(3), said, FAMILIES).readings
    assert one.unsure == ""
    assert isinstance(one.postprocess, Detect)
    assert one.postprocess.anchors[-1] == 18


def test_pixels_are_those_of_the_author_whom_metadata_name() -> None:
    other = Output("output", (1, 1, 300, 7))
    theirs = {"names": "...", "task": "detect"}
    for told, fit in (({"description": "Ultralytics YOLOv10n"}, "letterbox"), ({"head": "RTDETRDecoder"}, "stretch")):
        (reading,) = recognise(_shown(other, labels=3, **theirs, **told), FAMILIES).readings
        assert reading.preprocess is not None
        assert (reading.family.name, reading.preprocess.fit) == ("openvino-detection-output", fit)
        assert (reading.preprocess.colour, reading.unsure) == ("rgb", "")
    assert recognise(_shown(other), FAMILIES).readings[0].unsure


def test_the_fit_of_finished_boxes_without_metadata_is_told_by_the_graph_or_not() -> None:
    rows = (Output("output0", (1, 300, 6)),)
    assert recognise(Shown(_IMAGE, rows), FAMILIES).readings[0].unsure == FIT_UNTOLD
    weights = frozenset(f"model.{layer}.conv.weight" for layer in range(12))
    assert recognise(Shown(_IMAGE, rows, weights=weights), FAMILIES).readings[0].unsure == ""
    deformable = recognise(Shown(_IMAGE, rows, operators=frozenset({"GridSample"})), FAMILIES).readings
    assert {(one.family.name, one.unsure) for one in deformable} >= {("rtdetr-ultralytics-final", "")}
    assert "yolov10" not in {one.family.name for one in deformable}


def test_deformable_detr_is_told_from_rtdetr_by_the_weights_of_its_encoder() -> None:
    answers = (Output("logits", (1, 300, 5)), Output("pred_boxes", (1, 300, 4)))
    named = "model.encoder.layers.0.self_attn.sampling_offsets.bias"
    quick = Shown(_IMAGE, answers, operators=frozenset({"GridSample"}))
    slow = Shown(_IMAGE, answers, weights=frozenset({named}), operators=frozenset({"GridSample"}))
    assert _names(quick) == ["rtdetr-hf"]
    assert _names(slow) == ["deformable-detr"]


def test_the_class_of_rf_detr_that_means_nothing_is_told_by_labels() -> None:
    answers = (Output("dets", (1, 40, 4)), Output("labels", (1, 40, 4)))
    masks = Output("masks", (1, 40, 78, 78))
    assert _names(_shown(*answers, labels=4)) == ["rfdetr"]
    (named,) = recognise(_shown(*answers, labels=3), FAMILIES).readings
    assert isinstance(named.postprocess, Detect)
    assert named.postprocess.background == "last"
    assert _names(_shown(*answers, masks)) == ["rfdetr-masks"]
    (named,) = recognise(_shown(*answers, masks, labels=3), FAMILIES).readings
    assert named.family.name == "rfdetr-masks-nothing-last"
    assert isinstance(named.postprocess, Detect)
    assert named.postprocess.masks is not None


def test_offsets_within_a_cell_are_not_places_in_the_picture() -> None:
    readings = recognise(_shown(Output("output", (1, 2100, 7))), FAMILIES).readings
    match = next(one.match for one in readings if one.family.name == "yolox")
    rows = np.zeros((1, 2100, 7), np.float32)
    cells = np.concatenate([np.stack(np.meshgrid(*[np.arange(n) / n] * 2), -1).reshape(-1, 2) for n in (40, 20, 10)])
    found = np.array([300, 905, 1700, 2050])
    rows[0, found, 4] = 0.9
    rows[0, :, :2] = cells + 0.02
    assert "no offsets" in offsets(match, [{"output": rows}])
    rows[0, found, :2] = np.array([[0.9, 0.1], [0.2, 0.8], [1.2, -0.3], [-0.2, 0.4]])
    assert offsets(match, [{"output": rows}]) == ""
    assert offsets(match, [{"output": np.zeros_like(rows)}]) == ""  # nothing was found
