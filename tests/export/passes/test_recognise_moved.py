"""A detector whose boxes move along with the picture tells the order of their numbers; what pixels it takes is told by
its file or by nothing, and then nothing is judged.
"""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_models import save

from edge_export.pipeline import QuietProgress, load_draft
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.postprocess_spec import Detect

SIDE, CELL = 320, 16
GRID = SIDE // CELL
NAMES = {"names": "{0: 'spot'}", "task": "detect", "description": "Ultralytics YOLOv10n model", "end2end": "True"}
ORDERS = {"xyxy": [0, 1, 2, 3], "yxyx": [1, 0, 3, 2]}
COLUMNS = ("boxes", "score", "class")


def spots(path, order="xyxy", properties=None, first="", extra=False, columns=COLUMNS):
    """A model that gives a box of 40x20 pixels around each bright cell: x1 y1 x2 y2 score class, [1, cells, 6]."""
    y, x = np.mgrid[:GRID, :GRID].reshape(2, -1) * CELL + CELL / 2
    boxes = np.stack([x - 20, y - 10, x + 20, y + 10], axis=1)[:, ORDERS[order]]
    weights = {
        "boxes": boxes[None].astype(np.float32),
        "class": np.zeros((1, GRID * GRID, 1), np.float32),
        "half": np.array(0.6, np.float32),
        "two": np.array(2, np.float32),
        "by": np.array(1 / 255, np.float32),
        "rows": np.array([1, GRID * GRID, 1], np.int64),
    }
    pixels = "scaled" if first else "images"
    nodes = [
        *([helper.make_node("Mul", ["images", "by"], ["scaled"])] if first else []),
        helper.make_node("AveragePool", [pixels], ["cells"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
        helper.make_node("ReduceMean", ["cells"], ["gray"], axes=[1]),
        helper.make_node("Sub", ["gray", "half"], ["above"]),
        helper.make_node("Mul", ["above", "two"], ["steep"]),
        helper.make_node("Relu", ["steep"], ["bright"]),
        helper.make_node("Reshape", ["bright", "rows"], ["score"]),
        helper.make_node("Concat", list(columns), ["out"], axis=2),
    ]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, GRID * GRID, 6])]
    if extra:
        outputs.append(helper.make_tensor_value_info("gray", TensorProto.FLOAT, [1, 1, GRID, GRID]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])], outputs,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, properties or {})
    onnx.checker.check_model(model)
    return save(model, path)


def photos(folder, width, height):
    """Dark pictures, each with a few bright spots far from their edges."""
    folder.mkdir()
    rng = np.random.default_rng(2)
    for number in range(3):
        image = np.full((height, width, 3), 40, np.uint8)
        for _ in range(5):
            x, y = rng.integers(60, width - 130), rng.integers(50, height - 90)
            cv2.rectangle(image, (int(x), int(y)), (int(x) + 24, int(y) + 24), (255, 255, 255), -1)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


def recognise(tmp_path, size, flags=None, **model):
    source = spots(tmp_path / "m.onnx", **model)
    options = ExportOptions(
        str(source), tmp_path / "m.edge", flags or FactFlags(), calibrate=photos(tmp_path / "photos", *size)
    )
    return load_draft(options, QuietProgress())


SQUARE, WIDE = (320, 320), (320, 240)
READ = Detect(format="final", box="xyxy", nms=False)
TURNED = Detect(format="final", box="yxyx", nms=False, columns=("box", "score", "class"))


@pytest.mark.parametrize(("order", "post"), [("xyxy", READ), ("yxyx", TURNED)])
def test_the_order_of_a_boxs_numbers_is_that_in_which_they_move(tmp_path, order, post):
    draft = recognise(tmp_path, SQUARE, order=order)
    assert draft.facts.postprocess == post
    assert draft.facts.verdict.rule == "any"
    assert any("y comes before x" in note for note in draft.notes) == (order == "yxyx")


@pytest.mark.parametrize(("order", "post"), [("xyxy", READ), ("yxyx", TURNED)])
def test_boxes_that_move_otherwise_than_the_metadata_say_judge_nothing(tmp_path, order, post):
    draft = recognise(tmp_path, WIDE, order=order, properties=NAMES)
    assert draft.facts.postprocess == post
    assert (draft.facts.verdict is None) == (order == "yxyx")
    assert any("as if y comes before x" in warning for warning in draft.warnings) == (order == "yxyx")


def test_an_order_that_a_flag_says_stays_and_is_warned_of(tmp_path):
    flags = FactFlags(task="detect", postprocess={"format": "final", "box": "xyxy"})
    draft = recognise(tmp_path, SQUARE, flags, order="yxyx")
    assert draft.facts.postprocess.box_order == "xyxy"
    assert any("as if y comes before x" in warning for warning in draft.warnings)


def test_whether_a_picture_is_stretched_or_letterboxed_is_told_by_metadata_or_by_a_flag(tmp_path):
    (tmp_path / "told").mkdir()
    assert recognise(tmp_path / "told", WIDE, properties=NAMES).facts.verdict.rule == "any"
    draft = recognise(tmp_path, WIDE)
    assert draft.facts.postprocess == READ
    assert draft.facts.verdict is None
    assert any("YOLOs are letterboxed, RT-DETR and others stretched (--fit)" in note for note in draft.notes)
    assert any("confirm it with --fit" in note for note in draft.notes)
    (tmp_path / "said").mkdir()
    said = recognise(tmp_path / "said", WIDE, FactFlags(preprocess={"fit": "stretch"}))
    assert (said.facts.preprocess.fit, said.facts.verdict.rule) == ("stretch", "any")


def test_pictures_of_the_inputs_own_form_leave_no_doubt_of_the_fit(tmp_path):
    assert recognise(tmp_path, SQUARE).facts.verdict.rule == "any"


def test_a_graph_that_divides_by_255_gets_whole_pixels(tmp_path):
    draft = recognise(tmp_path, WIDE, properties=NAMES, first="scale")
    assert draft.facts.preprocess.scale == 1.0
    assert draft.facts.verdict.rule == "any"


def test_one_output_more_changes_nothing(tmp_path):
    draft = recognise(tmp_path, WIDE, properties=NAMES, extra=True)
    assert draft.facts.postprocess == Detect(format="final", outputs=("out",), box="xyxy", nms=False)
    assert draft.facts.verdict.rule == "any"


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (("score", "class", "boxes"), ("score", "class", "box")),
        (("class", "score", "boxes"), ("class", "score", "box")),
    ],
)
def test_an_order_of_columns_that_no_family_publishes_is_read_and_judges_nothing(tmp_path, columns, row):
    draft = recognise(tmp_path, SQUARE, columns=columns)
    assert draft.facts.postprocess == Detect(format="final", outputs=("out",), box="xyxy", nms=False, columns=row)
    assert draft.facts.verdict is None
    assert any("only the pictures tell" in warning for warning in draft.warnings)
