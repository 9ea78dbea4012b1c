"""Outputs of families of detectors, by name and shape, as their exporters write them for a picture of 320 x 320."""

from __future__ import annotations

import numpy as np
from detector_answers import Thing

from edge_export.model.families import Shown
from edge_export.model.graph_io import ImageInput, Output
from edge_runtime.vision.placement import Placement

__all__ = [
    "ALL",
    "CELLS",
    "IMAGE",
    "LAYOUTS",
    "PLACE",
    "Shapes",
    "by_stride",
    "scrfd",
    "shown_of",
    "sizes_of",
    "things_of",
]

Shapes = dict[str, tuple[object, ...]]
IMAGE = ImageInput("images", 320, 320, 3, "nchw", "float32")
CELLS = {stride: (320 // stride) ** 2 for stride in (8, 16, 32, 64)}
ALL = sum(CELLS[stride] for stride in (8, 16, 32))


def shown_of(shapes: Shapes, labels: int = 0) -> Shown:
    """`shapes` by the outputs' names; a first "int" says that an output holds whole numbers."""
    outputs = tuple(
        Output(name, tuple(size for size in shape if size != "int"), kind="i" if "int" in shape else "f")  # type: ignore[misc]
        for name, shape in shapes.items()
    )
    return Shown(IMAGE, outputs, {}, tuple(map(str, range(labels))) or None)


def by_stride(names: str, shape: tuple[object, ...], strides: tuple[int, ...] = (8, 16, 32), each: int = 1) -> Shapes:
    """A head for each stride: "cells" and "side" stand for its sizes."""
    return {
        names.format(stride): tuple(
            each * CELLS[stride] if size == "cells" else 320 // stride if size == "side" else size for size in shape
        )
        for stride in strides
    }


def scrfd(batch: tuple[int, ...], widths: tuple[int, ...] = (1, 4, 10)) -> Shapes:
    parts = [by_stride(f"{width}_{{}}", (*batch, "cells", width), each=2) for width in widths]
    return {name: shape for part in parts for name, shape in part.items()}


_SIX = {
    f"{part}{stride}": (1, width, 320 // stride, 320 // stride)
    for stride in (16, 32)
    for part, width in (("reg", 12), ("obj", 3), ("cls", 80))
}
_YUNET = {
    f"{part}_{stride}": (1, CELLS[stride], width)
    for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    for stride in (8, 16, 32)
}
_PICODET = by_stride("s{}", (1, "cells", 80), (8, 16, 32, 64)) | by_stride("d{}", (1, "cells", 32), (8, 16, 32, 64))

PLACE = Placement(IMAGE.width, IMAGE.height, IMAGE.width, IMAGE.height, 1.0, 1.0, 0.0, 0.0)


def sizes_of(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """The shapes as numbers: 0 for a dimension that is free."""
    return {
        name: tuple(size if isinstance(size, int) else 0 for size in shape if size != "int")
        for name, shape in shapes.items()
    }


def things_of(random: np.random.Generator, classes: int, points: int) -> list[Thing]:
    """A few objects that do not overlap, on a grid of 3 x 3."""
    found = []
    for place in random.permutation(9)[: random.integers(2, 6)].tolist():
        left, top = 107 * (place % 3) + random.uniform(0, 20), 107 * (place // 3) + random.uniform(0, 20)
        width, height = random.uniform(30, 80, 2)
        where = [
            (left + width * random.uniform(0.1, 0.9), top + height * random.uniform(0.1, 0.9)) for _ in range(points)
        ]
        box = (left, top, left + width, top + height)
        score = float(random.uniform(0.3, 0.95))
        found.append(Thing(tuple(map(float, box)), score, int(random.integers(0, classes)), tuple(where)))  # type: ignore[arg-type]
    return sorted(found, key=lambda thing: -thing.score)


# The family, its outputs, and how many classes are named (0: none).
LAYOUTS: tuple[tuple[str, Shapes, int], ...] = (
    ("yolov5-heads", by_stride("o{}", (1, 3, "side", "side", 85)), 0),
    ("yolov7-heads", by_stride("o{}", (1, 3, "side", "side", 8)), 3),
    ("yolov5-convolutions", by_stride("o{}", (1, 255, "side", "side")), 0),
    ("nanodet-plus", {"output": (1, ALL + CELLS[64], 112)}, 80),
    ("nanodet", {"output": (1, ALL, 33)}, 1),
    ("nanodet-plus-logits", {"output": (1, ALL + CELLS[64], 112)}, 80),
    (
        "tflite-detection-from-0",
        {
            "StatefulPartitionedCall:0": (1, 25, 4), "StatefulPartitionedCall:1": (1, 25),
            "StatefulPartitionedCall:2": (1, 25), "StatefulPartitionedCall:3": (1,),
        },
        0,
    ),
    (
        "tflite-detection-scores-first-from-0",
        {
            "StatefulPartitionedCall:0": (1,), "StatefulPartitionedCall:1": (1, 25),
            "StatefulPartitionedCall:2": (1, 25), "StatefulPartitionedCall:3": (1, 25, 4),
        },
        0,
    ),
    (
        "nanodet-six",
        by_stride("cls_pred_stride_{}", (1, "cells", 80)) | by_stride("dis_pred_stride_{}", (1, "cells", 32)),
        0,
    ),
    ("picodet", _PICODET, 0),
    ("yolo-fastestv2", by_stride("o{}", (1, "side", "side", 95), (16, 32)), 0),
    ("yolo-fastestv2-six", _SIX, 80),
    ("fastestdet", {"758": (1, 85, 20, 20)}, 0),
    ("yolov5-face", {"output": (1, 3 * ALL, 16)}, 0),
    ("yolov5-plate", {"output": (1, 3 * ALL, 15)}, 0),
    ("yolov5-face-heads", by_stride("o{}", (1, 3, "side", "side", 16)), 1),
    ("scrfd-landmarks", scrfd((1,)), 0),
    ("scrfd-landmarks-one-picture", scrfd(()), 0),
    ("scrfd", scrfd((1,), (1, 4)), 0),
    ("yunet", _YUNET, 0),
    ("ultraface", {"scores": (1, 4420, 2), "boxes": (1, 4420, 4)}, 0),
    ("pytorch-ssd", {"scores": (1, 3000, 22), "boxes": (1, 3000, 4)}, 21),
    ("yolo-nas", {"graph2_pred_boxes": (1, ALL, 4), "graph2_pred_scores": (1, ALL, 80)}, 0),
    ("damo-yolo", {"scores": (1, ALL, 80), "boxes": (1, ALL, 4)}, 0),
    ("ppyoloe-without-nms", {"tmp_16": (1, ALL, 4), "concat_14.tmp_0": (1, 80, ALL)}, 0),
    (
        "picodet-without-nms",
        {"fetch_name_0": (1, ALL + CELLS[64], 4), "fetch_name_1": (1, 80, ALL + CELLS[64])},
        0,
    ),
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
    ("yolo-nas-pose-flat-without-preprocessing", {"graph2_flat_predictions": (None, 57)}, 0),
    ("pinto", {"batchno_classid_score_x1y1x2y2": (None, 7)}, 0),
    ("pinto-scores-apart", {"score": (None, 1), "batchno_classid_x1y1x2y2": (None, 6)}, 0),
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
    ("mmdeploy-people", {"dets": (1, 100, 5), "keypoints": (1, 100, 17, 3)}, 0),
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
)  # fmt: skip
