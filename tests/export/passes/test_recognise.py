"""Which row of the families table a model is of is confirmed on pictures: right, or said not to be."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_models import save

from edge_export.model.flags import NO_VERDICT
from edge_export.model.metadata import RAW
from edge_export.pipeline import QuietProgress, load_draft
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.postprocess_spec import Anomaly, Detect
from edge_runtime.errors import UsageError
from edge_runtime.vision.postprocess.detect import candidates
from edge_runtime.vision.preprocess import Preprocessor

SIDE = 96
CELLS = 189  # of strides 8, 16, 32
# x1 y1 x2 y2 in input pixels, score, class
OBJECTS = ((20.0, 30.0, 60.0, 70.0, 0.9, 1), (40.0, 24.0, 52.0, 40.0, 0.6, 0), (70.0, 50.0, 90.0, 72.0, 0.7, 1))


def answering(path, outputs, properties=None, inputs=()):
    """A model that gives these answers to any picture, a millionth of its mean aside."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "little"], ["move"]),
    ]
    weights, infos = {"little": np.array(1e-6, np.float32)}, []
    for name, array in outputs.items():
        weights[f"{name}_is"] = np.asarray(array, np.float32)
        kind = TensorProto.INT64 if np.asarray(array).dtype.kind == "i" else TensorProto.FLOAT
        nodes.append(helper.make_node("Add", [f"{name}_is", "move"], [f"{name}_moved"]))
        nodes.append(helper.make_node("Cast", [f"{name}_moved"], [name], to=kind))
        infos.append(helper.make_tensor_value_info(name, kind, np.asarray(array).shape))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE]), *inputs],
        infos,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties or {})
    return save(model, path)


def rows(classes, count=CELLS, objectness=False, angle=False):
    """Rows cx cy w h [objectness] scores [angle] of a head: little everywhere but at the objects."""
    rng = np.random.default_rng(0)
    table = np.zeros((count, 4 + objectness + classes + angle), np.float32)
    table[:, :2], table[:, 2:4] = rng.uniform(20, 70, (count, 2)), rng.uniform(5, 20, (count, 2))
    table[:, 4:] = rng.uniform(0, 0.02, (count, table.shape[1] - 4))
    if angle:
        table[:, -1] = rng.uniform(-0.7, 2.3, count)
    for row, (x1, y1, x2, y2, score, class_id) in zip(table[7::50], OBJECTS, strict=False):
        row[:4] = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
        row[4 + objectness + min(class_id, classes - 1)] = score
        if objectness:
            row[4] = 0.95
    return table


def finished(order="xyxy", count=300):
    table = np.zeros((count, 6), np.float32)
    for row, (x1, y1, x2, y2, score, class_id) in zip(table, sorted(OBJECTS, key=lambda o: -o[4]), strict=False):
        box = (x1, y1, x2, y2) if order == "xyxy" else ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
        row[:] = (*box, score, class_id)
    return table


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for number in range(4):
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return folder


def recognise(tmp_path, photos, outputs, properties=None, **flags):
    source = answering(tmp_path / "m.onnx", outputs, properties)
    options = ExportOptions(str(source), tmp_path / "m.edge", FactFlags(**flags), calibrate=photos)
    return load_draft(options, QuietProgress())


def names(**extra):
    return {"names": "{0: 'scratch', 1: 'dent'}", "task": "detect", **extra}


def found(draft, outputs):
    """The best boxes and their classes as the device would read them, in input pixels."""
    facts = draft.model_facts()
    _, places = Preprocessor(facts.preprocess).batch([np.zeros((SIDE, SIDE, 3), np.uint8)])
    arrays = {name: np.asarray(array, np.float32) for name, array in outputs.items()}
    (read,) = candidates(facts.postprocess, facts, arrays, places, 0.5)
    order = np.argsort(-read.scores)
    return [(tuple(read.boxes[i].round().tolist()), int(read.classes[i])) for i in order]


TRUTH = [(tuple(one[:4]), one[5]) for one in sorted(OBJECTS, key=lambda one: -one[4])]


@pytest.mark.parametrize(
    ("outputs", "properties"),
    [
        ({"o": rows(2).T[None]}, names()),
        ({"o": rows(2)[None]}, names()),
        ({"o": rows(2).T[None]}, {}),
        ({"o": rows(2)[None]}, {}),
        ({"o": rows(4).T[None]}, {}),
        ({"o": rows(4)[None]}, {}),
        ({"o": rows(2, objectness=True)[None]}, {}),
        ({"o": np.concatenate([rows(2, 3 * CELLS, objectness=True)])[None]}, {}),
        ({"o": rows(2, angle=True).T[None]}, {}),
        ({"o": finished()[None]}, names()),
        ({"o": finished()[None]}, {}),
        ({"o": finished("cxcywh")[None] / np.array([SIDE] * 4 + [1, 1], np.float32)}, {}),
        ({"o": finished("cxcywh")[None] / np.array([SIDE] * 4 + [1, 1], np.float32)}, names(head="RTDETRDecoder")),
        ({"o": (rows(2) / np.array([SIDE] * 4 + [1, 1], np.float32)).T[None]}, names()),
        ({"o": (rows(2) / np.array([SIDE] * 4 + [1, 1], np.float32))[None]}, {}),
        ({"dets": finished()[None, :, :5], "labels": finished()[None, :, 5].astype(np.int64)}, {}),
        ({"output": np.column_stack([np.zeros(3), finished()[:3][:, [0, 1, 2, 3, 5, 4]]])}, {}),
    ],
    ids=str,
)
def test_objects_are_read_as_they_are_or_nothing_is_judged(tmp_path, photos, outputs, properties):
    draft = recognise(tmp_path, photos, outputs, properties)
    assert isinstance(draft.facts.postprocess, Detect), draft.notes
    right = found(draft, outputs) == TRUTH
    assert right or draft.facts.verdict is None
    assert right, (draft.facts.postprocess, draft.notes)


def test_the_reading_that_pictures_confirm_is_known_and_judges(tmp_path, photos):
    draft = recognise(tmp_path, photos, {"o": finished()[None]}, names(description="Ultralytics YOLOv10n model"))
    assert draft.facts.postprocess == Detect(format="final", box="xyxy", nms=False)
    assert draft.facts.verdict.rule == "any"
    assert any("those of yolov10 (https://" in note and "4 pictures" in note for note in draft.notes)
    assert not any(note.startswith("guess") for note in draft.notes)


def test_without_pictures_a_guess_stays_one(tmp_path):
    draft = recognise(tmp_path, None, {"o": finished()[None]}, names())
    assert draft.facts.verdict is None
    assert any(note.startswith(NO_VERDICT) for note in draft.notes)


def test_metadata_that_pictures_contradict_are_not_believed(tmp_path, photos):
    outputs = {"o": (rows(2) / np.array([SIDE] * 4 + [1, 1], np.float32)).T[None]}
    draft = recognise(tmp_path, photos, outputs, names())
    assert draft.facts.postprocess == Detect(format="yolo", normalized=True)
    assert any("the file names yolov8, but" in warning for warning in draft.warnings)


def test_a_model_that_no_row_reads_is_raw_and_says_why(tmp_path, photos):
    draft = recognise(tmp_path, photos, {"o": 40 * rows(2).T[None]}, names())
    assert draft.facts.postprocess is None
    assert draft.facts.verdict is None
    assert any(note.startswith(RAW) and "yolov8: expected scores in 0..1" in note for note in draft.notes)


def test_two_rows_that_both_fit_are_named_with_the_flag_that_decides(tmp_path, photos):
    """Heads before the last layer: YOLOv5's and v7's differ in their anchors alone."""
    heads = {}
    for number, stride in enumerate((8, 16, 32)):
        cells = SIDE // stride
        head = np.full((1, 3, cells, cells, 7), -4, np.float32)
        head[..., :4] = 0
        if stride < 32:
            head[0, 0, cells // 2, cells // 2, 4:6] = 2.5
        heads[f"head{number}"] = head
    draft = recognise(tmp_path, photos, heads)
    assert draft.facts.verdict is None
    assert any("yolov7-heads" in note and "--family" in note for note in draft.notes)
    chosen = recognise(tmp_path, photos, heads, family="yolov7-heads")
    assert chosen.facts.postprocess.anchors[:2] == (12, 16)
    assert chosen.facts.verdict.rule == "any"


@pytest.mark.parametrize(
    ("name", "words"), [("yolov99", "no such family; known are .*yolov8"), ("yolov5", "300 is not 3.A = 567")]
)
def test_a_family_that_the_model_is_not_of_is_refused_by_name(tmp_path, photos, name, words):
    with pytest.raises(UsageError, match=f"--family {name}: .*{words}"):
        recognise(tmp_path, photos, {"o": finished()[None]}, family=name)


def test_flags_leave_the_rows_that_agree_and_their_pixels(tmp_path, photos):
    outputs = {"o": finished("cxcywh")[None] / np.array([SIDE] * 4 + [1, 1], np.float32)}
    draft = recognise(tmp_path, photos, outputs, task="detect", postprocess={"format": "final", "box": "cxcywh"})
    assert found(draft, outputs) == TRUTH
    assert draft.facts.preprocess.fit == "stretch"


def test_anomalib_judges_at_its_own_limit_where_its_answers_say_so(tmp_path, photos):
    cells = np.linspace(0, 0.9, 32 * 32).reshape(1, 1, 32, 32)
    draft = recognise(tmp_path, photos, {"pred_score": np.array([0.7]), "anomaly_map": cells})
    assert draft.facts.postprocess == Anomaly(map_output="anomaly_map", score_output="pred_score")
    assert draft.facts.thresholds.confidence == 0.5
    raw = recognise(tmp_path, photos, {"pred_score": np.array([17.0]), "anomaly_map": cells * 20})
    assert raw.facts.verdict is None
    assert raw.facts.postprocess is None


def test_a_size_input_is_filled_and_the_model_takes_one_picture(tmp_path, photos):
    size = helper.make_tensor_value_info("scale_factor", TensorProto.FLOAT, [1, 2])
    path = answering(
        tmp_path / "p.onnx",
        {"multiclass_nms3_0.tmp_0": finished()[:3][:, [5, 4, 0, 1, 2, 3]], "multiclass_nms3_0.tmp_2": np.array([3])},
        inputs=(size,),
    )
    options = ExportOptions(str(path), tmp_path / "p.edge", calibrate=photos)
    draft = load_draft(options, QuietProgress())
    assert [spec.name for spec in draft.inputs] == ["images"]
    assert draft.facts.postprocess.columns == ("class", "score", "box")
    assert draft.facts.verdict is None  # PP-YOLOE's and PP-YOLOE+'s pixels differ
    assert isinstance(onnx.load(path), onnx.ModelProto)
