"""Facts of each type of model_api, out of `model_info` and the shapes of outputs."""

from __future__ import annotations

import pytest
from onnx import ModelProto, TensorProto, helper

from edge_export.model.metadata import GUESS, facts_of_onnx
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Masks, Points, Raw, Segment

Shapes = dict[str, list[object]]
INSTANCES: Shapes = {"masks": [1, 9, 64, 64], "boxes": [1, 9, 5], "labels": [1, 9]}
BEFORE_LAST: tuple[tuple[str, tuple[str, ...]], ...] = (("Conv", ("image", "weight")),)


def model(outputs: Shapes, nodes: tuple[tuple[str, tuple[str, ...]], ...] = (), **entries: str) -> ModelProto:
    """A graph that is never run, with `model_info`; `nodes` are operators and their inputs, each making the next."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    made = [helper.make_node(kind, list(inputs), [f"made{place}"]) for place, (kind, inputs) in enumerate(nodes)]
    last = f"made{len(nodes) - 1}" if nodes else "image"
    made += [helper.make_node("Identity", [last], [name]) for name in outputs]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 256, 192])
    proto = helper.make_model(helper.make_graph(made, "g", [image], infos))
    helper.set_model_props(proto, {f"model_info {key}": value for key, value in entries.items()})
    return proto


def told(outputs: Shapes, kind: str, **entries: str) -> KnownFacts:
    return facts_of_onnx(model(outputs, model_type=kind, **entries))


def test_key_points_of_the_whole_picture_are_named_by_the_labels() -> None:
    facts = told({"x": [1, 3, 384], "y": [1, 3, 512]}, "keypoint_detection", labels="nose left_eye tail")
    points = Points(3, activation="softmax", names=("nose", "left eye", "tail"))
    assert facts.postprocess == Detect(format="simcc", outputs=("x", "y"), nms=False, points=points)
    assert facts.labels == ("object",)
    assert facts.thresholds == Thresholds(confidence=0.25, iou=0.5)


def test_key_points_without_a_softmax_are_as_sure_as_their_lines_say() -> None:
    facts = told({"x": [1, 3, 384], "y": [1, 3, 512]}, "keypoint_detection", apply_softmax="False", labels="nose")
    assert isinstance(facts.postprocess, Detect)
    assert facts.postprocess.points == Points(3)
    assert facts.thresholds == Thresholds(confidence=0.3, iou=0.5)
    assert any("names 1 key points but the outputs have 3" in note for note in facts.notes)


@pytest.mark.parametrize("outputs", [{"x": [1, 3, 384]}, {"x": [1, 3, 384], "y": [1, 4, 512]}])
def test_key_points_in_another_form_are_raw(outputs: Shapes) -> None:
    facts = told(outputs, "keypoint_detection")
    assert facts.postprocess == Raw()
    assert any("'keypoint_detection'" in note for note in facts.notes)


@pytest.mark.parametrize(("kind", "masks"), [("MaskRCNN", "boxes"), ("DETRInstSeg", "image")])
def test_instances_have_masks_of_any_size_told_by_their_ranks(kind: str, masks: str) -> None:
    expected = Detect(
        format="final-labels",
        outputs=("boxes", "labels"),
        box="xyxy",
        nms=False,
        masks=Masks("masks", kind=masks, activation="none"),  # type: ignore[arg-type]
    )
    one_picture: Shapes = {name: shape[1:] for name, shape in INSTANCES.items()}
    for outputs in (INSTANCES, one_picture, {**INSTANCES, "saliency_map": [1, 3, 8, 8]}):
        facts = told(outputs, kind, labels="otx_empty_lbl cat dog")
        assert facts.postprocess == expected
        assert facts.origin["postprocess"] == "model_api metadata"
        assert facts.labels == ("cat", "dog")
        assert facts.thresholds == Thresholds(confidence=0.5, iou=0.5)


@pytest.mark.parametrize(
    ("last", "activation"), [("Conv", "softmax"), ("Softmax", "none"), ("Sigmoid", "none"), ("Mul", "none")]
)
def test_what_makes_scores_is_seen_through_a_resize(last: str, activation: str) -> None:
    nodes = ((last, ("image", "other")), ("Resize", ("made0", "", "scales")))
    facts = facts_of_onnx(model({"out": [1, 3, 256, 192]}, nodes, model_type="Segmentation", labels="crack hole"))
    assert facts.postprocess == Segment(activation=activation)  # type: ignore[arg-type]
    assert facts.labels == ("background", "crack", "hole")


def test_masks_out_of_prototypes_keep_their_duplicates_unless_it_is_said() -> None:
    outputs: Shapes = {"protos": [1, 4, 64, 48], "rows": [1, 10, 1008]}
    facts = told(outputs, "YOLO-seg", labels="a b")
    masks = Masks("protos", count=4, enlarged="scores")
    assert facts.postprocess == Detect(format="yolo", outputs=("rows",), masks=masks, nms=False)
    assert any("duplicates stay" in note for note in facts.notes)
    assert facts.thresholds == Thresholds(confidence=0.25, iou=0.5)
    assert facts.preprocess is not None
    assert (facts.preprocess.colour, facts.preprocess.fit, facts.preprocess.std) == ("bgr", "letterbox", (255.0,) * 3)
    said = told(outputs, "YOLO-seg", labels="a b", nms_execute="True", nms_max_predictions="50")
    assert said.postprocess == Detect(format="yolo", outputs=("rows",), masks=masks, max_det=50)
    assert not said.notes


def test_duplicates_of_any_class_are_removed_where_the_type_does_so() -> None:
    rows = told({"y": [1, 7, 1008]}, "YOLO11", agnostic_nms="True")
    assert rows.postprocess == Detect(format="yolo", class_agnostic=True)
    grid = told({"y": [1, 1008, 8]}, "YOLOX", resize_type="standard")
    assert grid.postprocess == Detect(
        format="grid", axis="channels-last", strides=(8, 16, 32), objectness=True, class_agnostic=True
    )
    assert grid.preprocess is not None  # whatever the file says: its code has no other way
    assert (grid.preprocess.fit, grid.preprocess.anchor, grid.preprocess.pad_value) == ("letterbox", "top-left", 114)


@pytest.mark.parametrize(
    ("kind", "outputs", "why"),
    [
        ("YOLO", {"y": [1, 255, 32, 24]}, "Darknet's YOLO"),
        ("YOLOV4", {"y": [1, 255, 32, 24]}, "Darknet's YOLO"),
        ("YOLOF", {"y": [1, 504, 8, 6]}, "YOLOF"),
        ("YOLOv3-ONNX", {"boxes": [1, 9, 4], "scores": [1, 80, 9], "indices": [1, 5, 3]}, "indices"),
        ("sam_image_encoder", {"image_embeddings": [1, 256, 64, 64]}, "features"),
        ("sam_decoder", {"masks": [1, 4, 256, 256]}, "points to"),
        ("Action Classification", {"y": [1, 400]}, "films"),
        ("something new", {"y": [1, 400]}, "no post-processing"),
    ],
)
def test_a_type_that_is_not_read_is_raw_with_the_reason(kind: str, outputs: Shapes, why: str) -> None:
    facts = told(outputs, kind)
    assert facts.postprocess == Raw()
    assert any(why in note and "raw tensors" in note for note in facts.notes), facts.notes


def test_a_class_without_a_label_is_the_other_one() -> None:
    facts = told({"y": [1, 3]}, "Classification", labels="cat dog")
    assert facts.postprocess == Classify()
    assert facts.labels == ("other", "cat", "dog")


@pytest.mark.parametrize(("entry", "scale"), [({}, 1.0), ({"scale_values": "255"}, 1.0)])
def test_an_anomaly_model_of_fixed_size_gets_whole_pixels(entry: dict[str, str], scale: float) -> None:
    facts = told({"o": [1, 1, 256, 192]}, "AnomalyDetection", image_threshold="9", normalization_scale="20", **entry)
    assert facts.preprocess is not None
    assert facts.preprocess.scale == scale
    assert any("no scale_values" in note for note in facts.notes) == (not entry)


@pytest.mark.parametrize(
    "entry", [{"intensity_mode": "percentile"}, {"input_dtype": "u16"}, {"embedded_processing": "True"}]
)
def test_pixels_that_nothing_here_makes_are_a_guess(entry: dict[str, str]) -> None:
    facts = told({"y": [1, 3]}, "Classification", mean_values="1 2 3", **entry)
    assert facts.origin["preprocess"] == GUESS
    assert any(next(iter(entry)) in note for note in facts.notes)
