"""A one-stage detector with random weights, shaped as Ultralytics' YOLOv8 is and with an output as it exports it.

Backbone of C2f blocks with SiLU, SPPF, a PAN neck, a decoupled head, boxes as distributions over 16 distances
(distribution focal loss, arXiv 2006.04388) decoded in the graph. Batch normalisation is folded into Conv.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_tools.zoo_graph import Graph

__all__ = ["YOLO_M", "YoloShape", "build_yolo"]

_STRIDES = (8, 16, 32)
_BINS = 16  # distances that a side of a box chooses from
# Filters are centred, and SiLU leaves variance 0.313 of a standard normal: 1 / sqrt(0.313) = 1.79 keeps it, and what
# shortcuts add makes a little less right.
_GAIN = 1.76
_DAMPING = 0.5
# SPPF's maxima are larger than what they are taken of.
_POOLED_GAIN = 0.7
# Logit of a class where nothing is: a trained head says "no" nearly everywhere, and so few boxes pass a threshold.
_NO_OBJECT = -7.0
_CLASS_GAIN = 0.8


@dataclass(frozen=True)
class YoloShape:
    """Dimensions of a detector: `channels` after the stem and each of four stages, `depth` blocks in each stage."""

    image: int = 640
    channels: tuple[int, int, int, int, int] = (48, 96, 192, 384, 576)
    depth: tuple[int, int, int, int] = (2, 4, 4, 2)
    classes: int = 80

    def __post_init__(self) -> None:
        if self.image % _STRIDES[-1] or any(channels % 2 for channels in self.channels):
            raise ValueError(
                f"image must be a multiple of {_STRIDES[-1]} and channels even, found {self.image} and {self.channels}"
            )

    @property
    def anchors(self) -> int:
        """Cells of all three grids: one box each."""
        return sum((self.image // stride) ** 2 for stride in _STRIDES)


YOLO_M = YoloShape()


def build_yolo(name: str, shape: YoloShape, seed: int) -> onnx.ModelProto:
    """Return the model: images [N, 3, image, image] in 0..1 to output0 [N, 4 + classes, anchors].

    Rows 0..3 are the box's centre x, y, width and height in pixels, the rest class scores in 0..1.
    """
    graph = Graph(name, seed)
    levels = _neck(graph, shape, *_backbone(graph, shape))
    output = _head(graph, shape, levels)
    properties = {
        "task": "detect",
        "stride": str(_STRIDES[-1]),
        "imgsz": str([shape.image, shape.image]),
        "names": str({index: f"class{index}" for index in range(shape.classes)}),
    }
    return graph.finish(
        ("images", (3, shape.image, shape.image)), ("output0", output, (4 + shape.classes, shape.anchors)), properties
    )


def _backbone(graph: Graph, shape: YoloShape) -> tuple[str, str, str]:
    """Features at strides 8, 16 and 32, the last through SPPF."""
    stem, *stages = shape.channels
    # The first filters must answer to flat areas too, or a smooth image is the same as an empty one.
    value = _conv(graph, "model.0", "images", (3, stem), 3, 2, centred=False)
    before, features = stem, []
    for stage, (channels, depth) in enumerate(zip(stages, shape.depth, strict=True)):
        index = 1 + 2 * stage
        value = _conv(graph, f"model.{index}", value, (before, channels), 3, 2)
        value = _c2f(graph, f"model.{index + 1}", value, (channels, channels), depth, shortcut=True)
        before = channels
        features.append(value)
    return features[1], features[2], _sppf(graph, "model.9", value, before)


def _neck(graph: Graph, shape: YoloShape, fine: str, middle: str, coarse: str) -> tuple[str, str, str]:
    """Path aggregation (arXiv 1803.01534): coarse features go up to the fine ones, then down again."""
    c3, c4, c5 = shape.channels[2:]
    depth = shape.depth[0]
    merged = _upsampled(graph, "model.10", coarse, middle)
    up4 = _c2f(graph, "model.12", merged, (c5 + c4, c4), depth, shortcut=False)
    merged = _upsampled(graph, "model.13", up4, fine)
    out3 = _c2f(graph, "model.15", merged, (c4 + c3, c3), depth, shortcut=False)
    down = _conv(graph, "model.16", out3, (c3, c3), 3, 2)
    merged = graph.node("Concat", "/model.17/Concat", [down, up4], axis=1)
    out4 = _c2f(graph, "model.18", merged, (c3 + c4, c4), depth, shortcut=False)
    down = _conv(graph, "model.19", out4, (c4, c4), 3, 2)
    merged = graph.node("Concat", "/model.20/Concat", [down, coarse], axis=1)
    out5 = _c2f(graph, "model.21", merged, (c4 + c5, c5), depth, shortcut=False)
    return out3, out4, out5


def _head(graph: Graph, shape: YoloShape, levels: tuple[str, str, str]) -> str:
    """Boxes and scores of every cell of every level, joined to [N, 4 + classes, anchors]."""
    finest = shape.channels[2]
    box_width = max(16, finest // 4, 4 * _BINS)
    class_width = max(finest, min(shape.classes, 100))
    boxes, scores = [], []
    for index, (level, channels) in enumerate(zip(levels, shape.channels[2:], strict=True)):
        cells = (shape.image // _STRIDES[index]) ** 2
        name = f"model.22.cv2.{index}"
        value = _conv(graph, f"{name}.0", level, (channels, box_width), 3)
        value = _conv(graph, f"{name}.1", value, (box_width, box_width), 3)
        value = graph.conv(f"{name}.2", value, (box_width, 4 * _BINS), 1, gain=_GAIN)
        boxes.append(_flat(graph, name, value, 4 * _BINS, cells))
        name = f"model.22.cv3.{index}"
        value = _conv(graph, f"{name}.0", level, (channels, class_width), 3)
        value = _conv(graph, f"{name}.1", value, (class_width, class_width), 3)
        value = graph.conv(f"{name}.2", value, (class_width, shape.classes), 1, gain=_CLASS_GAIN, bias_mean=_NO_OBJECT)
        scores.append(_flat(graph, name, value, shape.classes, cells))
    distances = graph.node("Concat", "/model.22/Concat", boxes, axis=2)
    logits = graph.node("Concat", "/model.22/Concat_1", scores, axis=2)
    sure = graph.node("Sigmoid", "/model.22/Sigmoid", [logits])
    return graph.node("Concat", "/model.22/Concat_5", [_decoded(graph, shape, distances), sure], axis=1)


def _decoded(graph: Graph, shape: YoloShape, value: str) -> str:
    """[N, 4 * bins, anchors] to cx cy w h in pixels: the mean distance to each side, from the cell's middle."""
    anchors = shape.anchors
    value = graph.node("Reshape", "/model.22/dfl/Reshape", [value, graph.integers("bins", [0, 4, _BINS, anchors])])
    value = graph.node("Transpose", "/model.22/dfl/Transpose", [value], perm=[0, 2, 1, 3])
    value = graph.node("Softmax", "/model.22/dfl/Softmax", [value], axis=1)
    weight = graph.tensor("model.22.dfl.conv.weight", np.arange(_BINS, dtype=np.float32).reshape(1, _BINS, 1, 1))
    value = graph.node("Conv", "/model.22/dfl/Conv", [value, weight], kernel_shape=[1, 1])
    value = graph.node("Reshape", "/model.22/dfl/Reshape_1", [value, graph.integers("sides", [0, 4, anchors])])
    near, far = graph.nodes("Split", "/model.22/Split", [value, graph.integers("corners", [2, 2])], 2, axis=1)
    points, strides = _grid(shape)
    middle = graph.tensor("model.22.anchors", points)
    near = graph.node("Sub", "/model.22/Sub", [middle, near])
    far = graph.node("Add", "/model.22/Add", [middle, far])
    centre = graph.node("Add", "/model.22/Add_1", [near, far])
    centre = graph.node("Div", "/model.22/Div", [centre, graph.tensor("two", np.array(2.0, np.float32))])
    size = graph.node("Sub", "/model.22/Sub_1", [far, near])
    boxes = graph.node("Concat", "/model.22/Concat_4", [centre, size], axis=1)
    return graph.node("Mul", "/model.22/Mul", [boxes, graph.tensor("model.22.strides", strides)])


def _grid(shape: YoloShape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Middles of all cells in units of their stride [1, 2, anchors], and the strides [1, anchors]."""
    points, strides = [], []
    for stride in _STRIDES:
        side = shape.image // stride
        y, x = np.divmod(np.arange(side * side), side)
        points.append(np.stack([x, y]) + 0.5)
        strides.append(np.full((1, side * side), stride))
    return np.concatenate(points, axis=1)[None].astype(np.float32), np.concatenate(strides, axis=1).astype(np.float32)


def _conv(
    graph: Graph,
    name: str,
    source: str,
    channels: tuple[int, int],
    kernel: int,
    stride: int = 1,
    *,
    gain: float = _GAIN,
    centred: bool = True,
) -> str:
    """Conv and SiLU, x * sigmoid(x) (arXiv 1702.03118), in the two operators of an exporter."""
    value = graph.conv(name, source, channels, kernel, stride, gain=gain, centred=centred)
    sure = graph.node("Sigmoid", f"/{name}/act/Sigmoid", [value])
    return graph.node("Mul", f"/{name}/act/Mul", [value, sure])


def _c2f(graph: Graph, name: str, source: str, channels: tuple[int, int], depth: int, *, shortcut: bool) -> str:
    """Split in halves, `depth` bottlenecks on the second one after another, all of them joined."""
    inside, outside = channels
    half = outside // 2
    value = _conv(graph, f"{name}.cv1", source, (inside, outside), 1)
    parts = graph.nodes("Split", f"/{name}/Split", [value, graph.integers(f"halves_{half}", [half, half])], 2, axis=1)
    for index in range(depth):
        inner = f"{name}.m.{index}"
        value = _conv(graph, f"{inner}.cv1", parts[-1], (half, half), 3)
        value = _conv(graph, f"{inner}.cv2", value, (half, half), 3, gain=_GAIN * (_DAMPING if shortcut else 1.0))
        parts.append(graph.node("Add", f"/{inner}/Add", [parts[-1], value]) if shortcut else value)
    value = graph.node("Concat", f"/{name}/Concat", parts, axis=1)
    return _conv(graph, f"{name}.cv2", value, (half * len(parts), outside), 1)


def _sppf(graph: Graph, name: str, source: str, channels: int) -> str:
    """Spatial pyramid pooling: maxima over 5, 9 and 13 cells, by pooling three times."""
    half = channels // 2
    parts = [_conv(graph, f"{name}.cv1", source, (channels, half), 1)]
    for index in range(3):
        pool = graph.node(
            "MaxPool", f"/{name}/m{index}/MaxPool", [parts[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4
        )
        parts.append(pool)
    value = graph.node("Concat", f"/{name}/Concat", parts, axis=1)
    return _conv(graph, f"{name}.cv2", value, (half * 4, channels), 1, gain=_POOLED_GAIN)


def _upsampled(graph: Graph, name: str, coarse: str, fine: str) -> str:
    """The coarse features at twice their size, joined with the fine ones."""
    scales = graph.tensor("twice", np.array([1.0, 1.0, 2.0, 2.0], np.float32))
    value = graph.node(
        "Resize", f"/{name}/Resize", [coarse, "", scales], mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return graph.node("Concat", f"/{name}/Concat", [value, fine], axis=1)


def _flat(graph: Graph, name: str, value: str, channels: int, cells: int) -> str:
    shape = graph.integers(f"{name}.flat", [0, channels, cells])
    return graph.node("Reshape", f"/{name}/Reshape", [value, shape])
