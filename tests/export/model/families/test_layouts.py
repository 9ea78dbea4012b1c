"""Rows of families whose outputs are heads, faces, or finished boxes: recognised by names and shapes alone."""

from __future__ import annotations

import numpy as np
import pytest

from edge_export.model.families import FAMILIES, Reading, Shown, recognise
from edge_export.model.graph_io import ImageInput, Output
from edge_runtime.bundle.postprocess_spec import Detect

Shapes = dict[str, tuple[object, ...]]
_IMAGE = ImageInput("images", 320, 320, 3, "nchw", "float32")
_CELLS = {stride: (320 // stride) ** 2 for stride in (8, 16, 32, 64)}
_ALL = sum(_CELLS[stride] for stride in (8, 16, 32))


def _readings(shapes: Shapes, labels: int = 0) -> dict[str, Reading]:
    """`shapes` by the outputs' names; a first "int" says that an output holds whole numbers."""
    outputs = tuple(
        Output(name, tuple(size for size in shape if size != "int"), kind="i" if "int" in shape else "f")  # type: ignore[misc]
        for name, shape in shapes.items()
    )
    shown = Shown(_IMAGE, outputs, {}, tuple(map(str, range(labels))) or None)
    return {reading.family.name: reading for reading in recognise(shown, FAMILIES).readings}


def _by_stride(names: str, shape: tuple[object, ...], strides: tuple[int, ...] = (8, 16, 32), each: int = 1) -> Shapes:
    """A head for each stride: "cells" and "side" stand for its sizes."""
    return {
        names.format(stride): tuple(
            each * _CELLS[stride] if size == "cells" else 320 // stride if size == "side" else size for size in shape
        )
        for stride in strides
    }


def _scrfd(batch: tuple[int, ...], widths: tuple[int, ...] = (1, 4, 10)) -> Shapes:
    parts = [_by_stride(f"{width}_{{}}", (*batch, "cells", width), each=2) for width in widths]
    return {name: shape for part in parts for name, shape in part.items()}


_SIX = {
    f"{part}{stride}": (1, width, 320 // stride, 320 // stride)
    for stride in (16, 32)
    for part, width in (("reg", 12), ("obj", 3), ("cls", 80))
}
_YUNET = {
    f"{part}_{stride}": (1, _CELLS[stride], width)
    for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    for stride in (8, 16, 32)
}
_PICODET = _by_stride("s{}", (1, "cells", 80), (8, 16, 32, 64)) | _by_stride("d{}", (1, "cells", 32), (8, 16, 32, 64))


@pytest.mark.parametrize(
    ("name", "shapes", "labels"),
    [
        ("yolov5-heads", _by_stride("o{}", (1, 3, "side", "side", 85)), 0),
        ("yolov7-heads", _by_stride("o{}", (1, 3, "side", "side", 8)), 3),
        ("yolov5-convolutions", _by_stride("o{}", (1, 255, "side", "side")), 0),
        ("nanodet-plus", {"output": (1, _ALL + _CELLS[64], 112)}, 80),
        ("nanodet", {"output": (1, _ALL, 33)}, 1),
        (
            "nanodet-six",
            _by_stride("cls_pred_stride_{}", (1, "cells", 80)) | _by_stride("dis_pred_stride_{}", (1, "cells", 32)),
            0,
        ),
        ("picodet", _PICODET, 0),
        ("yolo-fastestv2", _by_stride("o{}", (1, "side", "side", 95), (16, 32)), 0),
        ("yolo-fastestv2-six", _SIX, 80),
        ("fastestdet", {"758": (1, 85, 20, 20)}, 0),
        ("yolov5-face", {"output": (1, 3 * _ALL, 16)}, 0),
        ("yolov5-face-heads", _by_stride("o{}", (1, 3, "side", "side", 16)), 1),
        ("scrfd-landmarks", _scrfd((1,)), 0),
        ("scrfd-landmarks-one-picture", _scrfd(()), 0),
        ("scrfd", _scrfd((1,), (1, 4)), 0),
        ("yunet", _YUNET, 0),
        ("ultraface", {"scores": (1, 4420, 2), "boxes": (1, 4420, 4)}, 0),
        ("yolo-nas", {"graph2_pred_boxes": (1, _ALL, 4), "graph2_pred_scores": (1, _ALL, 80)}, 0),
        ("damo-yolo", {"scores": (1, _ALL, 80), "boxes": (1, _ALL, 4)}, 0),
        ("ppyoloe-without-nms", {"tmp_16": (1, _ALL, 4), "concat_14.tmp_0": (1, 80, _ALL)}, 0),
        ("yolov7-end2end", {"output": (None, 7)}, 0),
        ("yolo-nas-flat", {"graph2_flat_predictions": (None, 7)}, 0),
        (
            "yolo-nas-batch",
            {
                "graph2_num_predictions": ("int", 1, 1),
                "graph2_pred_boxes": (1, 1000, 4),
                "graph2_pred_scores": (1, 1000),
                "graph2_pred_classes": ("int", 1, 1000),
            },
            0,
        ),
        ("pinto", {"batchno_classid_score_x1y1x2y2": (None, 7)}, 0),
        ("openvino-detection-output", {"detection_out": (1, 1, 200, 7)}, 0),
        (
            "efficient-nms",
            {
                "num_dets": ("int", 1, 1),
                "det_scores": (1, 100),
                "det_classes": ("int", 1, 100),
                "det_boxes": (1, 100, 4),
            },
            0,
        ),
        ("paddle-detection", {"multiclass_nms3_0.tmp_0": (None, 6), "multiclass_nms3_0.tmp_2": ("int", None)}, 0),
        ("rtdetr-original", {"labels": ("int", 1, 300), "boxes": (1, 300, 4), "scores": (1, 300)}, 0),
        ("mmdeploy", {"dets": (1, 100, 5), "labels": ("int", 1, 100)}, 0),
        ("mmdeploy-masks", {"dets": (1, 100, 5), "labels": ("int", 1, 100), "masks": (1, 100, 320, 320)}, 0),
        ("mmdeploy-box-masks", {"dets": (1, 100, 5), "labels": ("int", 1, 100), "masks": (1, 100, 28, 28)}, 0),
        ("geti-one-picture", {"boxes": (None, 5), "labels": ("int", None)}, 0),
        ("geti-masks-one-picture", {"boxes": (None, 5), "labels": ("int", None), "masks": (None, 28, 28)}, 0),
        (
            "torchvision-masks",
            {"boxes": (None, 4), "labels": ("int", None), "scores": (None,), "masks": (None, 1, 28, 28)},
            0,
        ),
        (
            "torchvision-keypoints",
            {
                "boxes": (None, 4), "labels": ("int", None), "scores": (None,), "keypoints": (None, 17, 3),
                "keypoints_scores": (None, 17),
            },
            0,
        ),
        ("geti", {"boxes": (1, 100, 5), "labels": ("int", 1, 100)}, 0),
    ],
)  # fmt: skip
def test_a_layout_is_recognised_by_its_names_and_shapes(name: str, shapes: Shapes, labels: int) -> None:
    readings = _readings(shapes, labels)
    assert name in readings, list(readings)
    post = readings[name].postprocess
    assert isinstance(post, Detect)
    assert set(post.outputs) <= set(shapes)


@pytest.mark.parametrize(
    ("shapes", "not_there"),
    [
        (_by_stride("o{}", (1, 3, "side", "side", 85), (8, 16, 64)), "yolov5-heads"),
        (_scrfd((1,)) | {"1_8": (1, 1600, 1)}, "scrfd-landmarks"),
        ({"batchno_classid_score_x1y1x2y2": (None, 7)}, "yolov7-end2end"),
        ({"scores": (1, _ALL, 80), "boxes": (1, _ALL, 4)}, "yolo-nas"),
        ({"boxes": (1, _ALL, 4), "scores": (1, _ALL, 80)}, "damo-yolo"),
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


def test_outputs_of_scrfd_are_read_in_their_order() -> None:
    post = _readings(_scrfd((1,)))["scrfd-landmarks"].postprocess
    assert isinstance(post, Detect)
    assert post.outputs == tuple(_scrfd((1,)))


def test_class_ids_from_zero_are_told_by_pictures() -> None:
    shapes: Shapes = {"boxes": (None, 4), "labels": ("int", None), "scores": (None,)}
    readings = _readings(shapes)
    seen = {"boxes": np.zeros((2, 4)), "labels": np.array([2, 0]), "scores": np.array([0.9, 0.6])}
    unseen = {**seen, "scores": np.array([0.9, 0.0])}
    for answers, fitting in ((seen, "torchvision-from-0"), (unseen, "torchvision")):
        found = [name for name, one in readings.items() if not one.family.fits(one.match, [answers])]
        assert [name for name in found if name.startswith("torchvision")] == [fitting]
