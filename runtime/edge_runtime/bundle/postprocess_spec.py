"""What a model's outputs mean: one dataclass for each task, told apart in JSON by `task`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Union

from edge_runtime.files.schema import grown, later

__all__ = ["Anomaly", "Classify", "Column", "Detect", "Masks", "Points", "Postprocess", "Raw", "Segment"]

# What a row of a detector's output is made of, in whatever order; see Detect.columns.
Column = Literal["batch", "box", "score", "class", "objectness", "classes", "angle", "points", "masks", "skip"]


@dataclass(frozen=True)
class Classify:
    """One score per class: output [N, C] (trailing or leading dimensions of size 1 are squeezed).

    `binary`: one score [N, 1] tells two classes; it is that of the second, and the first has what is left to 1.
    `multilabel`: none, one or several of the classes are true, each by its own score; with activation sigmoid that is
    so without it.
    """

    task: Literal["classify"] = "classify"
    output: str = ""  # "" is the model's first output
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    top_k: int = 5
    # output[C] is "nothing": some ImageNet models have 1001 classes, the first meaning background.
    first_class: int = 0
    binary: bool = later(False, needs="binary classifiers")
    multilabel: bool = later(False, needs="multi-label classifiers")

    def __post_init__(self) -> None:
        if self.multilabel and (self.binary or self.activation == "softmax"):
            raise ValueError("a multi-label classifier is not binary, and has activation sigmoid or none")
        if self.binary and (self.first_class or self.activation == "softmax"):
            raise ValueError("a binary classifier has no first_class, and activation sigmoid or none")
        if self.top_k < 1 or self.first_class < 0:
            raise ValueError(
                f"top_k must be at least 1 and first_class at least 0, found {self.top_k} and {self.first_class}"
            )


@dataclass(frozen=True)
class Masks:
    """Where the mask of each box comes from. A pixel belongs to the object where its value is above `threshold`.

    - "prototypes": the row's `count` values weigh as many maps [N, count, h, w] of the whole input in `output`
      (YOLACT, arXiv 1904.02689, section 3; Ultralytics). `enlarged` to the picture are their sums (Ultralytics), or
      what the activation makes of these (YOLOv5).
    - "boxes": `output` holds a map [N, K, h, w] per row that is stretched over its box (Mask R-CNN, arXiv 1703.06870).
    - "image": `output` holds a map [N, K, h, w] per row of the whole input.
    """

    output: str
    kind: Literal["prototypes", "boxes", "image"] = "prototypes"
    count: int = 32
    activation: Literal["none", "sigmoid"] = "sigmoid"
    threshold: float = 0.5
    enlarged: Literal["sums", "scores"] = later("sums", needs="masks of scores")

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 1024:
            raise ValueError(f"count must be 1..1024 prototypes, found {self.count}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold must be 0..1, found {self.threshold}")


@dataclass(frozen=True)
class Points:
    """Key points of each box: `count` times x y, or x y confidence where `values` is 3, in the box's units.

    `activation` makes the confidence of what the model gives; softmax is for lines alone (Detect, "simcc").
    `names` are those of the points, () or one for each; `edges` are pairs of points that a drawing connects.
    """

    count: int
    values: Literal[2, 3] = 3
    output: str = ""  # "": the row itself holds them
    activation: Literal["none", "sigmoid", "softmax"] = grown("none", {"softmax": "points in lines"})
    names: tuple[str, ...] = ()
    edges: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 1000:
            raise ValueError(f"count must be 1..1000 points, found {self.count}")
        if self.names and len(self.names) != self.count:
            raise ValueError(f"names must be () or {self.count} names, found {len(self.names)}")
        if any(not 0 <= end < self.count for edge in self.edges for end in edge):
            raise ValueError(f"edges must connect points 0..{self.count - 1}")


@dataclass(frozen=True)
class Detect:
    """Boxes with classes. `format` says what the graph's outputs hold, before NMS:

    - "yolo": [N, 4+C, A] or [N, A, 4+C], cx cy w h in input pixels then class scores (Ultralytics v8 and later).
    - "yolo-objectness": [N, A, 5+C], the same with an objectness before the classes (YOLOv5, v7).
    - "grid": rows dx dy log(w) log(h) [objectness] classes per anchor point of each stride's grid, row-major,
      cx = (gx + dx) * stride, w = exp(log w) * stride (YOLOX, arXiv 2107.08430, section 2.1).
    - "fastest": grid format of FastestDet: [N, 5+C, H, W], objectness, tanh/sigmoid offsets, classes.
    - "anchors": rows as "grid" has them, told to `anchors`: with s the logistic function where activation is sigmoid,
      cx = (gx + 2 s(x) - 0.5) * stride, w = (2 s(w))^2 * anchor (YOLOv5, v7 without their last layer).
    - "fastest-v2": the same, one set of class scores for all anchors of a cell (Yolo-FastestV2).
    - "distances": rows left top right bottom per anchor point, in strides: x1 = (gx + centre - left) * stride; each
      the mean of a distribution over 0, 1, 2, ... where `bins` is above 1 (GFL, arXiv 2006.04388; NanoDet, SCRFD).
    - "boxes-scores": two outputs, boxes [N, A, 4] and class scores [N, A, C] (SSD, DETR) or [N, C, A]. A third one, if
      named in `outputs`, holds anchors [N, A, 4]: the boxes are then offsets of the anchors' corners, in units of
      their size.
    - "final": [N, K, 6], x1 y1 x2 y2 score class, already suppressed (end-to-end detectors). A second output, if named
      in `outputs`, counts the rows of each image, [N], or holds the scores that rows do not have, [N, K]; a third one
      then counts them.
    - "final-split": three or four outputs as TensorFlow's detection post-processing writes them: boxes [N, K, 4],
      classes [N, K], scores [N, K] and an optional count [N].
    - "final-labels": boxes with their scores [N, K, 5] and classes [N, K] (mmdeploy, Geti).
    - "simcc": one object that fills the picture, with its key points: for each a line of values across the input and
      one down, [N, P, n * W] and [N, P, n * H]. A point lies where both are highest, and is as sure as the lower of the
      two says; the object as its points on average (SimCC, arXiv 2107.03332; RTMPose, Geti).

    Formats with strides take one output of all rows [N, A, .], or for each stride one [N, ., H, W], [N, H, W, .],
    [N, anchors, H, W, .] or [N, rows, .], or for each stride one for each of `columns`, in any order of strides.

    `columns` says what a row is made of where it is not the format's own order, which is for "yolo" box classes, for
    "yolo-objectness" box objectness classes, for "final" box score class; after it come angle, points and masks where
    those are declared. "batch" is the number of the row's image (the rows of all images then lie in one output [M, .]),
    "skip" one value that means nothing here; "classes" takes what the others leave. "final" heeds `box` only where it
    has `columns`. A box may have key points (`points`), a mask (`masks`), an `angle`: it is then turned about its
    centre by so much, clockwise in the picture.
    """

    task: Literal["detect"] = "detect"
    format: Literal[
        "yolo",
        "yolo-objectness",
        "grid",
        "fastest",
        "anchors",
        "fastest-v2",
        "distances",
        "boxes-scores",
        "final",
        "final-split",
        "final-labels",
        "simcc",
    ] = grown(
        "yolo",
        {
            "anchors": "heads by stride",
            "fastest-v2": "heads by stride",
            "distances": "heads by stride",
            "final-labels": "labels apart",
            "simcc": "points in lines",
        },
    )
    outputs: tuple[str, ...] = ()  # () is the model's outputs in order; else their names in the format's order
    box: Literal["cxcywh", "xyxy", "yxyx"] = "cxcywh"
    normalized: bool = False  # box coordinates are 0..1 of the input instead of pixels
    axis: Literal["channels-first", "channels-last"] = "channels-first"
    strides: tuple[int, ...] = ()  # for "grid", "anchors", "fastest-v2", "distances"
    objectness: bool = False  # for "grid"
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    # classes that stand for "nothing here" in the score columns: SSD has it first, DETR last.
    background: Literal["none", "first", "last"] = "none"
    nms: bool = True
    class_agnostic: bool = False
    max_det: int = 300
    columns: tuple[Column, ...] = later((), needs="columns")
    # the id that stands for the first label: TensorFlow's and torchvision's begin with 1
    first_class: int = later(0, needs="first class")
    angle: Literal["none", "radians", "degrees"] = later("none", needs="oriented boxes")
    points: Union[Points, None] = later(None, needs="key points")
    masks: Union[Masks, None] = later(None, needs="object masks")
    # width and height in input pixels of each anchor of each stride, in the order of `strides`
    anchors: tuple[float, ...] = later((), needs="heads by stride")
    bins: int = later(1, needs="heads by stride")  # values that tell one distance
    # where in its cell an anchor point of "distances" lies: 0 is the upper left corner
    centre: float = later(0.5, needs="heads by stride")
    # a score is the product of class and objectness, or the root of it (YuNet)
    combine: Literal["product", "root"] = later("product", needs="heads by stride")

    def __post_init__(self) -> None:
        if any(not 1 <= stride <= 1024 for stride in self.strides):
            raise ValueError(f"strides must be 1..1024 pixels, found {', '.join(map(str, self.strides))}")
        if not 1 <= self.max_det <= 10_000:
            raise ValueError(f"max_det must be 1..10000, found {self.max_det}")
        if not 0 <= self.first_class <= 1000:
            raise ValueError(f"first_class must be 0..1000, found {self.first_class}")
        twice = [name for name in set(self.columns) - {"skip"} if self.columns.count(name) > 1]
        if twice or (self.columns and "box" not in self.columns):
            raise ValueError(f"columns must hold box, and each but skip once, found {' '.join(self.columns)}")
        apart = self.format == "final" and len(self.outputs) in (2, 3)  # the scores are the second output
        if self.columns and not apart and not {"classes", "score"} & set(self.columns):
            raise ValueError(f"columns must hold classes or score, found {' '.join(self.columns)}")
        told = (("angle", self.angle != "none"), ("points", self.points), ("masks", self.masks))
        if untold := [name for name, is_told in told if name in self.columns and not is_told]:
            raise ValueError(f"columns hold {untold[0]}, of which the key {untold[0]!r} must tell more")
        if len(self.anchors) % (2 * max(len(self.strides), 1)) or any(not 0 < side <= 65536 for side in self.anchors):
            raise ValueError(f"anchors must be widths and heights, as many for each stride, found {self.anchors}")
        lines = self.format == "simcc"
        if lines and self.points is None:
            raise ValueError("format simcc has key points, of which the key 'points' must tell more")
        if self.points is not None and self.points.activation == "softmax" and not lines:
            raise ValueError("key points have activation softmax only in format simcc")
        if not 1 <= self.bins <= 64 or not 0.0 <= self.centre <= 1.0:
            raise ValueError(f"bins must be 1..64 and centre 0..1, found {self.bins} and {self.centre}")

    @cached_property  # asked several times a frame
    def row(self) -> tuple[Column, ...]:
        """What a row of a format with rows is made of, in order."""
        first: tuple[Column, ...] = self.columns
        if not first and self.format in ("final", "final-labels", "distances"):
            first = ("classes", "box") if self.format == "distances" else ("box", "score", "class")
            first = first[:2] if self.format == "final-labels" else first
        elif not first:
            objectness = self.format in ("yolo-objectness", "anchors") or (self.format == "grid" and self.objectness)
            first = ("box", "objectness", "classes") if objectness else ("box", "classes")
        rest: list[Column] = ["angle"] if self.angle != "none" else []
        rest += ["points"] if self.points and not self.points.output else []
        rest += ["masks"] if self.masks and self.masks.kind == "prototypes" else []
        return (*first, *(name for name in rest if name not in first))

    def values_of(self, column: Column) -> int:
        """How many values a column has; 0 for "classes", whose number the manifest's labels and the output tell."""
        if column == "points":
            return self.points.count * self.points.values if self.points else 0
        if column == "masks":
            return self.masks.count if self.masks else 0
        return 4 * self.bins if column == "box" else 0 if column == "classes" else 1

    @cached_property
    def row_values(self) -> int:
        """How many values a row has beside the scores of classes."""
        return sum(self.values_of(column) for column in self.row)

    @property
    def box_order(self) -> Literal["cxcywh", "xyxy", "yxyx"]:
        """The order of a box's coordinates; "final" was x1 y1 x2 y2 before it could have `columns`."""
        return "xyxy" if self.format == "final" and not self.columns else self.box

    @property
    def column_axis(self) -> int:
        """The axis of an output [N, ., .] along which a box's columns lie; YOLOv5 and v7 have one order only."""
        return 1 if self.axis == "channels-first" and self.format != "yolo-objectness" else 2


@dataclass(frozen=True)
class Segment:
    """One class per pixel: output [N, C, H, W] scores, or [N, H, W] class indices.

    A single channel tells class 1 from class 0: a pixel is of class 1 where its value is above `threshold`.
    `multilabel`: each channel is a mask of its own, of the pixels above `threshold`; masks may overlap.
    `indices`: [N, 1, H, W] or [N, H, W, 1] holds class indices, of whatever type.
    """

    task: Literal["segment"] = "segment"
    output: str = ""
    axis: Literal["channels-first", "channels-last"] = "channels-first"
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    background: int = 0  # the class that is not reported; -1: report all
    min_area: float = 0.0005  # fraction of the image; smaller regions are not reported
    threshold: float = later(0.5, needs="mask thresholds")
    multilabel: bool = later(False, needs="overlapping classes")
    indices: bool = later(False, needs="class indices")

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold must be 0..1, found {self.threshold}")
        if self.multilabel and (self.indices or self.activation == "softmax" or self.background != -1):
            raise ValueError("overlapping classes have no background (-1), no indices, activation sigmoid or none")
        if not -1 <= self.background <= 254:
            raise ValueError(f"background must be a class 0..254, or -1 for none, found {self.background}")
        _check_area(self.min_area)


@dataclass(frozen=True)
class Anomaly:
    """An anomaly map [N, 1, H, W] or [N, H, W], and perhaps a score [N]; without one the map's maximum is it.

    Where `map_output` and `score_output` name the same output it holds scores, and there is no map.
    `minimum`/`maximum` scale raw scores to 0..1 as anomalib's min-max normalisation does around `raw_threshold`:
    score = clip((raw - raw_threshold) / (maximum - minimum) + 0.5, 0, 1). `map_threshold` and `map_span` are the map's
    own raw threshold and maximum - minimum, where it has others than the score.
    """

    task: Literal["anomaly"] = "anomaly"
    map_output: str = ""
    score_output: str = ""
    normalize: bool = False
    minimum: float = 0.0
    maximum: float = 1.0
    raw_threshold: float = 0.5
    min_area: float = 0.0  # fraction of the image; smaller regions are not reported
    map_threshold: Union[float, None] = later(None, needs="map normalization")
    map_span: Union[float, None] = later(None, needs="map normalization")

    @property
    def has_map(self) -> bool:
        """Whether there is a map beside the score."""
        return not self.map_output or self.map_output != self.score_output

    def __post_init__(self) -> None:
        if self.map_span is not None and not self.map_span > 0:
            raise ValueError(f"map_span must be above 0, found {self.map_span}")
        if self.normalize and not self.maximum > self.minimum:
            raise ValueError(f"maximum must be above minimum, found {self.minimum}..{self.maximum}")
        _check_area(self.min_area)


def _check_area(fraction: float) -> None:
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"min_area must be a fraction 0..1 of the image, found {fraction}")


@dataclass(frozen=True)
class Raw:
    """The tensors as they are: the user's own code looks at them."""

    task: Literal["raw"] = "raw"


Postprocess = Union[Classify, Detect, Segment, Anomaly, Raw]
