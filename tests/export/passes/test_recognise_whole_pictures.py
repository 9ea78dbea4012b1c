"""Classifiers, segmentation and anomaly models in the forms that exporters write: read right, or said not to be."""

from __future__ import annotations

import json

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_models import save

from edge_export.pipeline import QuietProgress, load_draft
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Raw, Segment
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.preprocess import Preprocessor
from edge_runtime.vision.settings import Settings

SIDE = 32
FLOAT, INT64, UINT8, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8, TensorProto.BOOL


def build(path, tail, outputs, channels, *, nhwc=False, pooled=False, properties=None, source="images", producer=""):
    """Three channels of pixels become `channels` of scores "s", pooled where the picture is classified; then `tail`."""
    rng = np.random.default_rng(3)
    weights = {
        "w": rng.normal(0, 6, (channels, 3, 1, 1)).astype(np.float32),
        "b": rng.normal(0, 1, channels).astype(np.float32),
        "half": np.array(0.5, np.float32),
    }
    shape = [1, SIDE, SIDE, 3] if nhwc else [1, 3, SIDE, SIDE]
    nodes = [helper.make_node("Transpose", [source], ["x"], perm=[0, 3, 1, 2])] if nhwc else []
    nodes.append(helper.make_node("Conv", ["x" if nhwc else source, "w", "b"], ["m" if pooled else "s"]))
    if pooled:
        nodes += [helper.make_node("GlobalAveragePool", ["m"], ["p"]), helper.make_node("Flatten", ["p"], ["s"])]
    graph = helper.make_graph(
        [*nodes, *tail],
        "g",
        [helper.make_tensor_value_info(source, FLOAT, shape)],
        [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name=producer)
    helper.set_model_props(model, properties or {})
    onnx.checker.check_model(model)
    return save(model, path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for number in range(4):
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return folder


def recognise(path, photos, **flags):
    return load_draft(
        ExportOptions(str(path), path.with_suffix(".edge"), FactFlags(**flags), calibrate=photos), QuietProgress()
    )


def seen(draft, path, photos):
    """What the device says of a photo, and the plain outputs of onnxruntime for the same input."""
    facts = draft.model_facts()
    image = cv2.imread(str(sorted(photos.iterdir())[0]))[:, :, ::-1]
    tensor, places = Preprocessor(facts.preprocess).batch([np.ascontiguousarray(image)])
    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {session.get_inputs()[0].name: tensor}), strict=True))
    return interpret(facts, outputs, places, Settings.of(facts))[0], outputs


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def softmax(scores, axis):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


CLASSIFIERS = {
    "one sigmoid": (1, [node("Sigmoid", "s", "y")], lambda y: np.array([1 - y[0, 0], y[0, 0]])),
    "softmax": (5, [node("Softmax", "s", "y", axis=1)], lambda y: y[0]),
    "logits": (5, [node("Identity", "s", "y")], lambda y: softmax(y, 1)[0]),
    "several sigmoids": (5, [node("Sigmoid", "s", "y")], lambda y: y[0]),
    "a softmax written out": (
        5,
        [node("Exp", "s", "e"), node("ReduceSum", "e", "t", keepdims=1), node("Div", "e t", "y")],
        lambda y: y[0],
    ),
}


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_scores_of_classifiers_are_plain_onnxruntimes(tmp_path, photos, kind, nhwc):
    channels, tail, scores = CLASSIFIERS[kind]
    if kind == "a softmax written out":  # over the classes alone
        tail = [tail[0], node("ReduceSum", "e axis", "t", keepdims=1), tail[2]]
        tail.insert(0, helper.make_node("Constant", [], ["axis"], value=numpy_helper.from_array(np.array([1]))))
    path = build(tmp_path / "m.onnx", tail, {"y": (FLOAT, [1, channels])}, channels, nhwc=nhwc, pooled=True)
    draft = recognise(path, photos)
    assert isinstance(draft.facts.postprocess, Classify), draft.notes
    assert draft.facts.postprocess.multilabel == (kind == "several sigmoids")
    assert draft.facts.postprocess.binary == (kind == "one sigmoid")
    result, outputs = seen(draft, path, photos)
    for prediction in result.predictions:
        assert prediction.confidence == pytest.approx(scores(outputs["y"])[prediction.class_id], abs=1e-6)
    assert draft.facts.verdict is None  # what pixels it takes is not told


def test_one_logit_tells_two_classes_where_two_labels_say_so(tmp_path, photos):
    path = build(tmp_path / "m.onnx", [node("Identity", "s", "y")], {"y": (FLOAT, [1, 1])}, 1, pooled=True)
    assert recognise(path, photos).facts.postprocess is None
    labels = tmp_path / "labels.txt"
    labels.write_text("good\nbad\n", encoding="utf-8")
    draft = recognise(path, photos, labels=labels)
    assert draft.facts.postprocess == Classify(activation="sigmoid", binary=True)


ARGMAX = [node("ArgMax", "s", "a", axis=1)]
MASKS = {
    "one channel, sigmoid": (1, [node("Sigmoid", "s", "y")], FLOAT, 1, lambda y: y[0, 0] > 0.5),
    "one channel, logits": (1, [node("Identity", "s", "y")], FLOAT, 1, lambda y: y[0, 0] > 0),
    "softmax": (4, [node("Softmax", "s", "y", axis=1)], FLOAT, 4, lambda y: y[0].argmax(0)),
    "logits": (4, [node("Identity", "s", "y")], FLOAT, 4, lambda y: y[0].argmax(0)),
    "two logits": (2, [node("Identity", "s", "y")], FLOAT, 2, lambda y: y[0].argmax(0)),
    "argmax": (4, [node("ArgMax", "s", "y", axis=1, keepdims=0)], INT64, 0, lambda y: y[0]),
    "argmax with a channel": (4, [node("ArgMax", "s", "y", axis=1)], INT64, 1, lambda y: y[0, 0]),
    "argmax as bytes": (4, [*ARGMAX, node("Cast", "a", "y", to=UINT8)], UINT8, 1, lambda y: y[0, 0]),
    "argmax as floats": (4, [*ARGMAX, node("Cast", "a", "y", to=FLOAT)], FLOAT, 1, lambda y: y[0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_classes_of_pixels_are_plain_onnxruntimes(tmp_path, photos, kind, nhwc):
    channels, tail, dtype, last, right = MASKS[kind]
    shape = [1, SIDE, SIDE] if not last else [1, SIDE, SIDE, last] if nhwc else [1, last, SIDE, SIDE]
    turned = nhwc and last
    if turned:
        inner = [onnx.NodeProto.FromString(one.SerializeToString()) for one in tail]
        inner[-1].output[0] = "inner"
        tail = [*inner, helper.make_node("Transpose", ["inner"], ["y"], perm=[0, 2, 3, 1])]
    path = build(tmp_path / "m.onnx", tail, {"y": (dtype, shape)}, channels, nhwc=nhwc)
    draft = recognise(path, photos)
    assert isinstance(draft.facts.postprocess, Segment), draft.notes
    result, outputs = seen(draft, path, photos)
    plain = outputs["y"].transpose(0, 3, 1, 2) if turned else outputs["y"]
    assert np.array_equal(result.mask, right(plain).astype(np.uint8))
    assert draft.facts.verdict is None  # what pixels it takes is not told


def test_masks_of_their_own_for_each_class_know_no_background(tmp_path, photos):
    path = build(tmp_path / "m.onnx", [node("Sigmoid", "s", "y")], {"y": (FLOAT, [1, 3, SIDE, SIDE])}, 3)
    draft = recognise(path, photos)
    assert draft.facts.postprocess == Segment(background=-1, multilabel=True)
    result, outputs = seen(draft, path, photos)
    for class_id in range(3):
        found = sum(one.area for one in result.predictions if one.class_id == class_id)
        assert found <= np.mean(outputs["y"][0, class_id] > 0.5) + 1e-6
    assert {one.class_id for one in result.predictions} >= {0}


def test_torchvisions_second_head_is_left_aside(tmp_path, photos):
    tail = [node("Identity", "s", "aux"), node("Neg", "s", "out")]
    shape = (FLOAT, [1, 4, SIDE, SIDE])
    path = build(tmp_path / "m.onnx", tail, {"out": shape, "aux": shape}, 4)
    draft = recognise(path, photos)
    assert draft.facts.postprocess == Segment(output="out", activation="softmax")
    result, outputs = seen(draft, path, photos)
    assert np.array_equal(result.mask, outputs["out"][0].argmax(0).astype(np.uint8))


SCORE = [node("Sigmoid", "s", "anomaly_map"), node("ReduceMax", "anomaly_map", "top", axes=[1, 2, 3], keepdims=0)]
LABEL = [node("GreaterOrEqual", "pred_score half", "pred_label")]


@pytest.mark.parametrize("parts", ["all", "map", "score", "map and score [N, 1]"])
def test_anomalib_judges_from_a_half_whatever_it_writes(tmp_path, photos, parts):
    tail, outputs = [*SCORE, node("Identity", "top", "pred_score"), *LABEL], {"pred_score": (FLOAT, [1])}
    cells = {"anomaly_map": (FLOAT, [1, 1, SIDE, SIDE])}
    if parts == "all":
        outputs = {**outputs, "pred_label": (BOOL, [1]), **cells}
    elif parts == "map":
        outputs = cells
    elif parts != "score":
        tail[2] = node("Unsqueeze", "top one", "pred_score")
        one = numpy_helper.from_array(np.array([1]))
        tail, outputs = (
            [helper.make_node("Constant", [], ["one"], value=one), *tail],
            {"pred_score": (FLOAT, [1, 1]), **cells},
        )
    path = build(tmp_path / "m.onnx", tail, outputs, 1)
    draft = recognise(path, photos)
    assert isinstance(draft.facts.postprocess, Anomaly), draft.notes
    assert (draft.facts.verdict.rule, draft.facts.thresholds.confidence) == ("score", 0.5)
    result, found = seen(draft, path, photos)
    score = float(found["pred_score"].reshape(-1)[0] if "pred_score" in found else found["anomaly_map"].max())
    assert result.score == pytest.approx(score, abs=1e-6)
    assert result.verdict == ("NG" if score >= 0.5 else "OK")
    assert (result.mask is None) == (parts == "score")


@pytest.mark.parametrize(("whole", "pixels"), [(0.3, 0.6), (0.9, 0.9)])
def test_a_sensitivity_of_anomalib_is_the_limit_that_its_graph_compares_with(tmp_path, photos, whole, pixels):
    limits = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32)))
        for name, value in (("whole", whole), ("pixels", pixels))
    ]
    tail = [*limits, *SCORE, node("Identity", "top", "pred_score"), node("Greater", "pred_score whole", "pred_label"),
            node("Greater", "anomaly_map pixels", "pred_mask")]  # fmt: skip
    shape = [1, 1, SIDE, SIDE]
    outputs = {"pred_score": (FLOAT, [1]), "pred_label": (BOOL, [1]), "anomaly_map": (FLOAT, shape),
               "pred_mask": (BOOL, shape)}  # fmt: skip
    path = build(tmp_path / "m.onnx", tail, outputs, 1)
    draft = recognise(path, photos)
    assert (draft.facts.verdict.rule, draft.facts.thresholds.confidence) == ("score", whole)
    result, found = seen(draft, path, photos)
    assert result.score == pytest.approx(float(found["pred_score"][0]), abs=1e-6)
    assert result.verdict == ("NG" if found["pred_label"][0] else "OK")
    odd = result.mask.astype(float) >= 255 * whole
    near = np.abs(found["anomaly_map"][0, 0] - pixels) <= 1 / 255
    assert np.array_equal(odd[~near], found["pred_mask"][0, 0][~near])


def test_raw_anomaly_scores_are_not_judged_but_with_the_metadata_beside_them(tmp_path, photos):
    tail = [node("Abs", "s", "anomaly_map"), node("ReduceMax", "anomaly_map", "pred_score", keepdims=0, axes=[1, 2, 3])]
    outputs = {"anomaly_map": (FLOAT, [1, 1, SIDE, SIDE]), "pred_score": (FLOAT, [1])}
    path = build(tmp_path / "m.onnx", tail, outputs, 1)
    draft = recognise(path, photos)
    assert draft.facts.verdict is None
    assert any("--anomaly-range" in note for note in (*draft.notes, *draft.warnings)), draft.notes
    scaled = {"image_threshold": 4.0, "pixel_threshold": 5.0, "pred_scores.min": 1.0, "pred_scores.max": 9.0,
              "anomaly_maps.min": 0.0, "anomaly_maps.max": 10.0}  # fmt: skip
    (tmp_path / "metadata.json").write_text(json.dumps(scaled), encoding="utf-8")
    draft = recognise(path, photos, preprocess={"scale": 1 / 255, "colour": "rgb"})
    assert draft.facts.verdict.rule == "score"
    result, found = seen(draft, path, photos)
    assert result.score == pytest.approx(np.clip((found["pred_score"][0] - 4) / 8 + 0.5, 0, 1), abs=1e-6)
    cells = np.clip((found["anomaly_map"][0, 0] - 5) / 10 + 0.5, 0, 1)
    assert np.abs(result.mask.astype(float) - np.rint(cells * 255)).max() <= 1


def test_a_detector_of_text_has_paddleocrs_threshold(tmp_path, photos):
    name = "sigmoid_0.tmp_0"
    tail = [node("Sigmoid", "s", name)]
    path = build(tmp_path / "m.onnx", tail, {name: (FLOAT, [1, 1, SIDE, SIDE])}, 1, source="x", producer="PaddlePaddle")
    draft = recognise(path, photos)
    assert draft.facts.postprocess == Segment(threshold=0.3)
    assert (draft.facts.labels, draft.facts.thresholds.confidence) == (("text",), 0.6)
    assert any("segmentation-mask" in note and "--family" in note for note in draft.notes)
    result, outputs = seen(draft, path, photos)
    assert np.array_equal(result.mask, (outputs[name][0, 0] > 0.3).astype(np.uint8))


@pytest.mark.parametrize(("first", "background"), [("background", 0), ("OK", 0), ("scratch", -1)])
def test_the_first_class_is_the_background_only_where_its_name_says_so(tmp_path, photos, first, background):
    path = build(tmp_path / "m.onnx", [node("Identity", "s", "y")], {"y": (FLOAT, [1, 3, SIDE, SIDE])}, 3)
    labels = tmp_path / "labels.txt"
    labels.write_text(f"{first}\ndent\nhole\n", encoding="utf-8")
    assert recognise(path, photos, labels=labels).facts.postprocess.background == background
    said = recognise(path, photos, labels=labels, postprocess={"background": 0}, task="segment")
    assert said.facts.postprocess.background == 0


def test_getis_labels_leave_the_background_out(tmp_path, photos):
    tail = [node("Identity", "s", "feature_vector"), node("Neg", "s", "output")]
    shape = (FLOAT, [1, 3, SIDE, SIDE])
    properties = {"model_info model_type": "Segmentation", "model_info labels": "scratch dent",
                  "model_info tile_size": "400"}  # fmt: skip
    path = build(tmp_path / "m.onnx", tail, {"feature_vector": shape, "output": shape}, 3, properties=properties)
    draft = recognise(path, photos)
    assert draft.facts.labels == ("background", "scratch", "dent")
    assert draft.facts.postprocess.output == "output"
    assert any("tile_size" in note and "tiles" in note for note in draft.notes)


def test_getis_several_labels_are_each_by_itself(tmp_path, photos):
    properties = {"model_info model_type": "Classification", "model_info labels": "scratch dent",
                  "model_info multilabel": "True"}  # fmt: skip
    tail = [node("Identity", "s", "saliency_map"), node("Sigmoid", "s", "logits")]
    shape = (FLOAT, [1, 2])
    outputs = {"saliency_map": shape, "logits": shape}
    path = build(tmp_path / "m.onnx", tail, outputs, 2, pooled=True, properties=properties)
    draft = recognise(path, photos)
    assert draft.facts.postprocess == Classify(output="logits", activation="none", multilabel=True)
    assert draft.facts.thresholds.confidence == 0.5


@pytest.mark.parametrize(
    ("kind", "more"),
    [("keypoint_detection", {}), ("Classification", {"model_info hierarchical": "True"}), ("Whatever", {})],
)
def test_getis_kinds_that_are_not_read_say_so(tmp_path, photos, kind, more):
    properties = {"model_info model_type": kind, "model_info labels": "scratch dent", **more}
    path = build(tmp_path / "m.onnx", [node("Identity", "s", "y")], {"y": (FLOAT, [1, 2])}, 2, pooled=True,
                 properties=properties)  # fmt: skip
    draft = recognise(path, photos)
    assert isinstance(draft.facts.postprocess, Raw)
    assert any("no post-processing here" in note for note in draft.notes)


PIXELS = {"scale": 1 / 255, "colour": "rgb"}


@pytest.mark.parametrize(("value", "verdict"), [(-3.0, "OK"), (3.0, "NG")])
def test_a_classifier_of_two_labels_judges_once_its_pixels_are_told(tmp_path, photos, value, verdict):
    tail = [node("Mul", "s little", "t"), node("Add", "t value", "u"), node("Sigmoid", "u", "y")]
    for name, held in (("little", 0.01), ("value", value)):
        array = numpy_helper.from_array(np.array(held, np.float32))
        tail.insert(0, helper.make_node("Constant", [], [name], value=array))
    path = build(tmp_path / "m.onnx", tail, {"y": (FLOAT, [1, 1])}, 1, nhwc=True, pooled=True, producer="tf2onnx")
    labels = tmp_path / "labels.txt"
    labels.write_text("good\nbad\n", encoding="utf-8")
    draft = recognise(path, photos, labels=labels, preprocess=PIXELS, ok_classes=("good",))
    assert draft.facts.verdict.rule == "class"
    assert draft.facts.origin["postprocess"] == "4 pictures"
    assert seen(draft, path, photos)[0].verdict == verdict


def test_a_mask_of_the_graphs_own_sigmoid_judges_once_its_pixels_are_told(tmp_path, photos):
    path = _mask_model(tmp_path / "m.onnx")
    draft = recognise(path, photos, preprocess=PIXELS)
    assert draft.facts.verdict.rule == "any"
    result, outputs = seen(draft, path, photos)
    assert result.verdict == ("NG" if result.predictions else "OK")
    assert np.array_equal(result.mask, (outputs["y"][0, 0] > 0.5).astype(np.uint8))


def _mask_model(path):
    """A mask of few pixels: those above the picture's mean by some."""
    tail = [
        node("ReduceMean", "s", "mean", keepdims=1),
        node("Sub", "s mean", "over"),
        helper.make_node("Constant", [], ["some"], value=numpy_helper.from_array(np.array(1.0, np.float32))),
        node("Sub", "over some", "logits"),
        node("Sigmoid", "logits", "y"),
    ]
    return build(path, tail, {"y": (FLOAT, [1, 1, SIDE, SIDE])}, 1)


UNTOLD = "nothing tells which of its two classes means that nothing is there: --background 0 or 1, or --labels"


def _two_classes(path, nhwc=False):
    tail = [node("Transpose", "s", "t", perm=[0, 2, 3, 1]), node("Softmax", "t", "y", axis=-1)]
    if not nhwc:
        tail = [node("Softmax", "s", "y", axis=1)]
    shape = [1, SIDE, SIDE, 2] if nhwc else [1, 2, SIDE, SIDE]
    return build(path, tail, {"y": (FLOAT, shape)}, 2, nhwc=nhwc)


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("task", [None, "segment"])
def test_two_classes_of_which_nothing_tells_the_background_judge_nothing(tmp_path, photos, nhwc, task):
    path = _two_classes(tmp_path / "m.onnx", nhwc)
    draft = recognise(path, photos, preprocess=PIXELS, task=task)
    assert draft.facts.verdict is None
    assert any(UNTOLD in warning for warning in draft.warnings)


@pytest.mark.parametrize("background", [0, 1])
def test_a_flag_says_which_of_two_classes_is_the_background(tmp_path, photos, background):
    path = _two_classes(tmp_path / "m.onnx")
    draft = recognise(path, photos, preprocess=PIXELS, task="segment", postprocess={"background": background})
    assert draft.facts.verdict.rule == "any"
    assert draft.facts.postprocess.background == background
    assert not draft.warnings


@pytest.mark.parametrize(
    ("names", "background"), [("ok scratch", 0), ("scratch ok", 1), ("Scratch Background", 1), ("dent scratch", None)]
)
def test_of_two_named_classes_the_background_is_the_one_that_is_called_so(tmp_path, photos, names, background):
    path, labels = _two_classes(tmp_path / "m.onnx"), tmp_path / "labels.txt"
    labels.write_text(names.replace(" ", "\n"), encoding="utf-8")
    draft = recognise(path, photos, preprocess=PIXELS, task="segment", labels=labels)
    assert (draft.facts.verdict is None) == (background is None)
    assert any(UNTOLD in warning for warning in draft.warnings) == (background is None)
    assert draft.facts.postprocess.background == (background or 0)
