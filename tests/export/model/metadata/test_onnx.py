"""Facts from an ONNX file's properties: Ultralytics, model_api, our own key, guesses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edge_export.model.facts import image_shape, merge
from edge_export.model.families.person import points_with_names
from edge_export.model.flags import lay_over
from edge_export.model.graph_io import Output
from edge_export.model.metadata import GRAPH, GUESS, GUESSED_OUTPUTS, GUESSED_REST, RAW, facts_of_onnx, look
from edge_export.model.metadata.model_api import read_model_api
from edge_export.model.parse import boolean, label_list, literal, numbers
from edge_export.state import FactFlags, KnownFacts
from edge_runtime.bundle.facts import TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Masks, Raw, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError
from edge_runtime.files.schema import to_json


def model(outputs, properties=None, image=(1, 3, 640, 640), kind=TensorProto.FLOAT, last="Identity"):
    """A graph that is never run: one image input and outputs of the given shapes."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    nodes = [helper.make_node(last, ["images"], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("images", kind, image)], infos)
    made = helper.make_model(graph)
    if properties:
        helper.set_model_props(made, properties)
    return made


def ultralytics(**extra):
    return {
        "names": "{0: 'open', 1: 'short circuit'}",
        "task": "detect",
        "stride": "32",
        "imgsz": "[480, 640]",
        **extra,
    }


def info(**entries):
    return {f"model_info {key}": text for key, text in entries.items()}


def test_ultralytics_detector_is_read():
    facts = facts_of_onnx(model({"output0": [1, 6, 8400]}, ultralytics()))
    assert facts.labels == ("open", "short circuit")
    assert facts.postprocess == Detect(format="yolo", box="cxcywh", axis="channels-first")
    assert facts.thresholds == Thresholds(0.25, 0.7)
    assert facts.preprocess == Preprocess(640, 640, fit="letterbox", pad_value=114)
    assert set(facts.origin.values()) == {"ultralytics metadata"}
    assert facts.notes == ()


def test_a_free_image_size_comes_from_imgsz_as_height_and_width():
    facts = facts_of_onnx(model({"output0": [1, 6, "A"]}, ultralytics(), image=["b", 3, "h", "w"]))
    assert facts.preprocess is not None
    assert (facts.preprocess.width, facts.preprocess.height) == (640, 480)
    assert image_shape(facts, ("b", 3, "h", "w")) == (1, 3, 480, 640)


def test_yolov5_has_an_objectness_and_no_task():
    facts = facts_of_onnx(model({"output0": [1, 25200, 7]}, {"names": "['a', 'b']", "stride": "32"}))
    assert facts.postprocess == Detect(format="yolo-objectness", axis="channels-last")


@pytest.mark.parametrize("key", [{"end2end": "True"}, {"args": "{'nms': True, 'batch': 1}"}])
def test_an_end_to_end_detector_is_final(key):
    facts = facts_of_onnx(model({"output0": [1, 300, 6]}, ultralytics(**key)))
    assert facts.postprocess == Detect(format="final", box="xyxy", nms=False)


def test_strides_say_that_the_output_is_a_grid():
    properties = {"names": "{0: 'open', 1: 'short'}", "task": "detect", "strides": "[8, 16]"}
    facts = facts_of_onnx(model({"output0": [1, 8000, 6]}, properties))
    assert facts.postprocess == Detect(format="grid", axis="channels-last", strides=(8, 16), objectness=False)


@pytest.mark.parametrize("names", [{0: "scratch"}, {0: "scratch", 1: "dent"}])
def test_six_columns_that_may_be_finished_boxes_are_a_guess(names):
    properties = ultralytics(names=str(names), description="Ultralytics YOLOv10n model trained on defects.yaml")
    facts = facts_of_onnx(model({"output0": [1, 300, 6]}, properties))
    assert facts.origin["postprocess"] == (GUESS if len(names) == 2 else "ultralytics metadata")
    assert facts.origin["preprocess"] == "ultralytics metadata"
    unsaid = facts_of_onnx(model({"output0": [1, 300, 6]}, ultralytics(names=str(names))))
    assert unsaid.origin["postprocess"] == unsaid.origin["preprocess"] == GUESS  # RT-DETR's boxes are stretched
    assert any(note.startswith(GUESSED_OUTPUTS) and "--family" in note for note in unsaid.notes)


@pytest.mark.parametrize("shape", [[1, 6, 8400], [1, 25200, 6]])
def test_six_columns_of_all_cells_are_a_heads(shape):
    names = {0: "scratch", 1: "dent"} if shape[1] == 6 else {0: "scratch"}
    facts = facts_of_onnx(model({"output0": shape}, ultralytics(names=str(names))))
    assert facts.origin["postprocess"] == "ultralytics metadata"


def test_ultralytics_classifier_is_already_a_softmax_and_cropped_with_pillow():
    facts = facts_of_onnx(model({"output0": [1, 2]}, ultralytics(task="classify"), image=(1, 3, 224, 224)))
    assert facts.postprocess == Classify(activation="none")
    assert facts.preprocess is not None
    assert (facts.preprocess.fit, facts.preprocess.interpolation) == ("crop", "pil-bilinear")


@pytest.mark.parametrize("shape", [[1, 38, 8400], [1, 8400]])
def test_a_task_whose_outputs_are_of_no_row_stays_raw_with_the_nearest_rows(shape):
    facts = facts_of_onnx(model({"output0": shape}, ultralytics(task="segment")))
    assert facts.postprocess is None
    assert any(note.startswith(RAW) for note in facts.notes)
    if len(shape) == 3:
        assert any("output 0 'output0' is [1, 38, 8400]: 38 is not " in note for note in facts.notes)


def test_pose_oriented_boxes_and_masks_are_parts_of_a_detector():
    pose = facts_of_onnx(model({"output0": [1, 57, 8400]}, ultralytics(task="pose", kpt_shape="[17, 3]")))
    assert pose.postprocess == Detect(format="yolo", points=points_with_names(17))
    turned = facts_of_onnx(model({"output0": [1, 7, 8400]}, ultralytics(task="obb")))
    assert turned.postprocess == Detect(format="yolo", angle="radians")
    masks = facts_of_onnx(model({"output0": [1, 38, 8400], "output1": [1, 32, 160, 160]}, ultralytics(task="segment")))
    assert masks.postprocess == Detect(
        format="yolo", outputs=("output0",), masks=Masks("output1", activation="none", threshold=0.0)
    )
    assert {facts.origin["postprocess"] for facts in (pose, turned, masks)} == {"ultralytics metadata"}


def test_names_that_contradict_the_output_are_ignored_with_a_note():
    facts = facts_of_onnx(model({"output0": [1, 84, 8400]}, ultralytics()))
    assert facts.labels is None
    assert any("2 classes but the output has 80" in note for note in facts.notes)


@pytest.mark.parametrize(
    "names",
    ["__import__('os').system('x')", "{0: open('f')}", "{", "{0: []}", "{-1: 'a'}", "[" * 5000, "{10**9: 'a'}", ""],
)
def test_names_that_are_no_table_are_never_executed_and_ignored(names):
    facts = facts_of_onnx(model({"output0": [1, 6, 8400]}, ultralytics(names=names)))
    assert facts.labels is None
    assert any("'names'" in note for note in facts.notes)


def test_model_api_classifier_is_read():
    facts = facts_of_onnx(
        model(
            {"logits": [1, 2]},
            info(
                model_type="Classification",
                labels="good_board defect",
                mean_values="123.675 116.28 103.53",
                scale_values="58.395 57.12 57.375",
                resize_type="fit_to_window_letterbox",
                reverse_input_channels="True",
                confidence_threshold="0.4",
                pad_value="114",
            ),
            image=(1, 3, 224, 224),
        )
    )
    assert facts.labels == ("good board", "defect")
    assert facts.postprocess == Classify(activation="softmax")
    assert facts.preprocess == Preprocess(
        224,
        224,
        fit="letterbox",
        pad_value=114,
        colour="rgb",
        scale=1.0,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    )
    assert facts.thresholds == Thresholds(confidence=0.4, iou=0.5)


def test_model_api_images_are_bgr_unless_reversed_and_the_window_sits_top_left():
    facts = facts_of_onnx(model({"o": [1, 2]}, info(model_type="Classification", resize_type="fit_to_window")))
    assert facts.preprocess is not None
    assert (facts.preprocess.colour, facts.preprocess.anchor, facts.preprocess.pad_value) == ("bgr", "top-left", 0)


def test_anomalib_normalization_is_read():
    entries = info(model_type="AnomalyDetection", image_threshold="12.5", normalization_scale="30", pixel_threshold="9")
    facts = facts_of_onnx(model({"output": [1, 1, 256, 256]}, entries, image=(1, 3, 256, 256)))
    assert facts.postprocess == Anomaly(
        map_output="output", normalize=True, minimum=0.0, maximum=30.0, raw_threshold=12.5, map_threshold=9.0
    )
    (note,) = facts.notes
    assert "no scale_values" in note
    assert facts.verdict == VerdictRule(rule="score")
    assert facts.thresholds == Thresholds(confidence=0.5)


@pytest.mark.parametrize(("last", "activation"), [("Conv", "softmax"), ("Softmax", "none"), ("Resize", "none")])
def test_a_segmentation_model_of_geti_that_ends_in_a_layer_gives_logits(last, activation):
    given = model({"o": [1, 3, 640, 640]}, info(model_type="Segmentation"), last=last)
    assert facts_of_onnx(given).postprocess == Segment(activation=activation)


def test_malformed_model_api_numbers_become_notes():
    entries = info(
        model_type="Segmentation", mean_values="1 2", scale_values="0 0 0", resize_type="spiral", iou_threshold="7"
    )
    facts = facts_of_onnx(model({"o": [1, 3, 640, 640]}, entries))
    assert facts.postprocess == Segment()
    assert facts.preprocess is not None
    assert facts.preprocess.mean == (0.0, 0.0, 0.0)
    assert len(facts.notes) == 3


def test_our_own_key_wins_over_everything_else():
    own = KnownFacts(
        preprocess=Preprocess(640, 640, colour="bgr"),
        postprocess=Detect(format="grid", strides=(8,), axis="channels-last"),
        labels=("a", "b"),
        thresholds=Thresholds(0.3, 0.5),
        verdict=VerdictRule(rule="any"),
    )
    text = json.dumps({name: to_json(getattr(own, name)) for name in own.known()})
    facts = facts_of_onnx(model({"output0": [1, 6400, 6]}, ultralytics(edgeline=text)))
    assert (facts.preprocess, facts.postprocess, facts.labels) == (own.preprocess, own.postprocess, own.labels)
    assert (facts.thresholds, facts.verdict) == (own.thresholds, own.verdict)
    assert facts.origin["labels"] == "edgeline metadata"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected JSON"),
        ("[1]", "expected an object"),
        ('{"colour": 1}', "unknown key 'colour'"),
        ('{"notes": ["x"]}', "unknown key 'notes'"),
        ('{"preprocess": {"width": 0, "height": 1}}', "width and height must be"),
        ('{"postprocess": {"task": "guess"}}', "postprocess.task"),
    ],
)
def test_our_own_key_must_be_right(text, words):
    with pytest.raises(DataError, match=words):
        facts_of_onnx(model({"o": [1, 2]}, {"edgeline": text}))


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"y": [1, 10]}, Classify(activation="softmax")),
        ({"y": [1, 1000, 1, 1]}, Classify(activation="softmax")),
        ({"y": [1, 84, 8400]}, Detect(format="yolo")),
        ({"y": [1, 8400, 85]}, Detect(format="grid", axis="channels-last", strides=(8, 16, 32), objectness=True)),
        ({"y": [1, 25200, 85]}, Detect(format="yolo-objectness", axis="channels-last")),
        ({"y": [1, 300, 6]}, Detect(format="final", box="xyxy", nms=False)),
        ({"y": [1, 21, 640, 640]}, Segment(activation="softmax")),
        ({"y": [1, 1, 1280, 1280]}, None),
        ({"y": [1, 85, 22, 22]}, None),
        ({"a": [1, 5], "b": [1, 4]}, None),
        ({"anomaly_map": [1, 1, 64, 64], "pred_score": [1]}, Anomaly("anomaly", "anomaly_map", "pred_score")),
    ],
)
def test_shapes_are_guessed_with_a_note_or_not_at_all(outputs, expected):
    facts = facts_of_onnx(model(outputs))
    assert facts.postprocess == expected
    assert facts.preprocess is not None
    assert sum("guess" in note for note in facts.notes) == (1 if expected is None else 2)
    assert sum(note.startswith(RAW) for note in facts.notes) == (expected is None)


def test_a_guess_brings_its_rows_pre_processing():
    facts = facts_of_onnx(model({"y": [1, 8400, 85]}))
    assert facts.preprocess == Preprocess(640, 640, fit="letterbox", anchor="top-left", colour="bgr", scale=1.0)
    assert facts_of_onnx(model({"y": [1, 84, 8400]})).preprocess == Preprocess(640, 640, fit="letterbox")


def test_a_model_that_ends_in_a_softmax_needs_none():
    assert facts_of_onnx(model({"y": [1, 10]}, last="Softmax")).postprocess == Classify(activation="none")
    assert facts_of_onnx(model({"y": [1, 21, 640, 640]}, last="Softmax")).postprocess == Segment(activation="none")


def test_tensorflow_detection_outputs_are_known_by_name():
    names = {
        "num_detections": [1],
        "detection_boxes": [1, 100, 4],
        "detection_scores": [1, 100],
        "detection_classes": [1, 100],
    }
    post = facts_of_onnx(model(names)).postprocess
    assert isinstance(post, Detect)
    assert post.outputs == ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
    assert (post.format, post.box, post.normalized) == ("final-split", "yxyx", True)


def test_a_model_without_an_image_has_no_pre_processing():
    assert facts_of_onnx(model({"y": [1, 10]}, image=(1, 640))).preprocess is None


def test_a_gray_uint8_image_in_nhwc_is_recognized():
    pre = facts_of_onnx(model({"y": [1, 10]}, image=(1, 96, 96, 1), kind=TensorProto.UINT8)).preprocess
    assert pre == Preprocess(96, 96, colour="gray", scale=1.0, mean=(0.0,), std=(1.0,), layout="nhwc", dtype="uint8")


def test_completing_leaves_what_is_known():
    known = KnownFacts(postprocess=Raw(), preprocess=Preprocess(640, 640)).found_in("flag")
    assert look(model({"y": [1, 10]}), known).facts == known


def read(outputs, **entries):
    """What model_api's entries alone tell of a model."""
    return read_model_api(info(**entries), None, tuple(Output(name, tuple(shape)) for name, shape in outputs.items()))


def test_instances_are_not_counted_by_the_label_that_stands_for_nothing():
    outputs, labels = {"boxes": [1, 9, 5], "labels": [1, 9]}, "otx_empty_lbl cat small_dog"
    assert read(outputs, model_type="MaskRCNN", labels=labels).labels == ("cat", "small dog")
    assert read(outputs, model_type="SSD", labels=labels).labels == ("otx empty lbl", "cat", "small dog")


def test_a_type_of_model_api_stands_for_what_it_takes():
    facts = facts_of_onnx(model({"y": [1, 6, 8400]}, info(model_type="YOLOv8")))
    assert facts.preprocess == Preprocess(640, 640, fit="letterbox", pad_value=114, scale=1.0, std=(255.0,) * 3)
    assert facts.thresholds == Thresholds(0.25, 0.7)
    said = facts_of_onnx(model({"y": [1, 6, 8400]}, info(model_type="YOLOv8", pad_value="0", scale_values="1")))
    assert said.preprocess == Preprocess(640, 640, fit="letterbox", pad_value=0, scale=1.0)


def test_an_ssd_with_three_outputs_has_boxes_of_0_to_1():
    outputs = {"scores": [1, 9], "bboxes": [1, 9, 4], "labels": [1, 9]}
    facts = facts_of_onnx(model(outputs, info(model_type="SSD")))
    assert facts.postprocess == Detect(
        format="final-split", outputs=("bboxes", "labels", "scores"), box="xyxy", normalized=True, nms=False
    )


@pytest.mark.parametrize("shape", [[1, 640, 640], [1, 1, 640, 640]])
def test_labels_of_a_segmentation_that_chose_its_classes_leave_out_the_background(shape):
    facts = read({"o": shape}, model_type="Segmentation", labels="crack hole")
    assert facts.labels == ("background", "crack", "hole")
    assert facts.postprocess == Segment(indices=len(shape) == 4)


def test_merging_prefers_the_first_and_keeps_both_notes():
    first = KnownFacts(labels=("a",), notes=("one",)).found_in("flag")
    second = KnownFacts(labels=("b",), version="2", notes=("one", "two")).found_in("file")
    merged = merge(first, second)
    assert (merged.labels, merged.version, merged.notes) == (("a",), "2", ("one", "two"))
    assert merged.origin == {"labels": "flag", "version": "file"}


text = st.text(max_size=40)


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(
            ["names", "task", "imgsz", "args", "end2end", "strides"]
            + [f"model_info {key}" for key in ("model_type", "labels", "mean_values", "resize_type", "pad_value")]
        ),
        text | st.sampled_from(["{0: 'a'}", "detect", "[1, 2]", "nan", "1e400", "YOLOX", "AnomalyDetection", "-5"]),
    )
)
def test_no_property_of_others_ever_raises(properties):
    facts = facts_of_onnx(model({"y": [1, 6, 8400]}, properties))
    assert isinstance(facts, KnownFacts)


@given(st.lists(st.text("ab_ ", min_size=1, max_size=5), min_size=1, max_size=9))
def test_a_printed_table_of_names_is_read_back(names):
    table = dict(enumerate(names))
    expected = tuple(" ".join(name.split()) or f"class_{i}" for i, name in table.items())
    assert label_list(literal(str(table))) == expected
    assert label_list({str(key): name for key, name in table.items()}) == expected


def test_small_readers_refuse_what_they_cannot_read():
    assert numbers("1, 2.5 3") == (1.0, 2.5, 3.0)
    assert numbers("1 x") is None
    assert numbers("nan") is None
    assert boolean("True") is True
    assert boolean("maybe") is None


def test_a_flag_changes_what_the_file_says_of_the_layout_and_the_rest_stays():
    proto = model({"output0": [1, 6, 8400]}, ultralytics())
    flags = FactFlags(postprocess={"box": "xyxy"})
    found = look(proto, facts_of_onnx(proto), flags)
    facts = lay_over(found.facts, flags, (TensorSpec("images", "float32", (1, 3, 640, 640)),), found.several)
    assert facts.postprocess == Detect(format="yolo", box="xyxy", axis="channels-first")
    assert facts.origin["postprocess"] == "flag"
    assert facts.preprocess == facts_of_onnx(proto).preprocess


def scaled_inside(producer, by=255.0, kind=TensorProto.FLOAT):
    """A classifier or a map of classes whose first node divides pixels."""
    nodes = [
        helper.make_node("Cast", ["input_1"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["whole", "by"], ["unit"]),
        helper.make_node("GlobalAveragePool", ["unit"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["dense"]),
    ]
    infos = [helper.make_tensor_value_info("input_1", kind, [1, 64, 64, 3])]
    outs = [helper.make_tensor_value_info("dense", TensorProto.FLOAT, [1, 4])]
    weights = [helper.make_tensor("by", TensorProto.FLOAT, [], [by])]
    return helper.make_model(helper.make_graph(nodes, "g", infos, outs, weights), producer_name=producer)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8])
def test_the_pixels_of_a_keras_model_that_scales_them_itself_are_known(kind):
    """Its pictures are RGB; what is taken of their fit is said."""
    facts = facts_of_onnx(scaled_inside("tf2onnx", kind=kind))
    assert facts.origin["preprocess"] == GRAPH
    assert (facts.preprocess.scale, facts.preprocess.mean, facts.preprocess.colour) == (1.0, (0.0, 0.0, 0.0), "rgb")
    assert [note for note in facts.notes if note.startswith(GUESSED_REST)]


@pytest.mark.parametrize(("producer", "by"), [("pytorch", 255.0), ("tf2onnx", 1.0)])
def test_pixels_stay_a_guess_where_colours_or_range_are_open(producer, by):
    facts = facts_of_onnx(scaled_inside(producer, by))
    assert facts.origin["preprocess"] == GUESS


def test_model_api_calls_both_layouts_of_yolov5_so():
    newer = facts_of_onnx(model({"output0": [1, 7, 8400]}, info(model_type="YOLOv5", labels="a b c")))
    assert newer.postprocess == Detect(format="yolo", box="cxcywh", axis="channels-first")
    older = facts_of_onnx(model({"output0": [1, 25200, 8]}, info(model_type="YOLOv5", labels="a b c")))
    assert older.postprocess == Detect(format="yolo-objectness", axis="channels-last")


def test_what_confirms_a_classifier_is_its_task_and_no_format():
    proto = model({"dense": [1, 4]}, image=(1, 3, 64, 64), last="Softmax")
    facts = lay_over(
        facts_of_onnx(proto), FactFlags(ok_classes=("class_0",)), (TensorSpec("images", "float32", (1, 3, 64, 64)),)
    )
    (note,) = [note for note in facts.notes if note.startswith("no verdict")]
    assert "--task classify" in note
    assert "--format" not in note


def test_rows_of_chosen_boxes_are_no_classifier():
    """One box in each picture has the shape of seven scores."""
    names = [reading.family.name for reading in look(model({"output": ["K", 7]}, last="Concat"), KnownFacts()).readings]
    assert "yolov7-end2end" in names
    assert "classifier" not in names
