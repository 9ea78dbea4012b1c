"""The vocabulary of a bundle's manifest.json: frozen dataclasses, no behaviour but their own checks.

A *model fact* lives here and nowhere else. What the machine adds is in the profile, what the run adds is a flag.
Units: sizes in pixels of the model's input, bytes where the name says so, thresholds in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Union

__all__ = [
    "SCHEMA_VERSION",
    "Accuracy",
    "Anomaly",
    "Block",
    "Certificate",
    "Classify",
    "Detect",
    "FileEntry",
    "Latency",
    "Manifest",
    "ModelInfo",
    "NodePrecision",
    "Postprocess",
    "Precision",
    "Preprocess",
    "Provenance",
    "Raw",
    "Segment",
    "Stage",
    "TensorSpec",
    "Thresholds",
    "Verdict",
    "VerdictRule",
]

SCHEMA_VERSION: Literal[1] = 1

_FLOAT32_MAX = 3.4e38

# "int8" computes in integers. "int8-weights" and "int4-weights" store the weights so and compute in floats, as "fp16"
# does on a CPU.
Precision = Literal["int8", "int8-weights", "int4-weights", "fp16", "fp32"]
Verdict = Literal["OK", "NG", "NO_READ"]


@dataclass(frozen=True)
class TensorSpec:
    """One graph input or output. A dimension is a positive number, or a name when it may vary (the batch)."""

    name: str
    dtype: str  # numpy's name: "float32", "uint8", "int64", ...
    shape: tuple[Union[int, str], ...]


@dataclass(frozen=True)
class Preprocess:
    """How an image (uint8, height x width x 3, BGR as OpenCV reads it) becomes the model's input tensor.

    Steps, in this order: colour -> fit to width x height -> (pixel * scale - mean) / std -> layout -> dtype.
    `mean` and `std` have one value per channel, in the order of `colour`, in units of the scaled pixel.
    """

    width: int
    height: int
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    # letterbox: where the image lies in the padded canvas; YOLOX pads right and below ("top-left").
    anchor: Literal["center", "top-left"] = "center"
    pad_value: int = 114
    # crop: the image is resized so that its short side has this many pixels, then cut from the centre. 0: as fit.
    resize_short: int = 0
    # plain names are OpenCV's kernels; pil-* are Pillow's antialiased ones (torchvision, Hugging Face), bit for bit.
    interpolation: Literal["nearest", "linear", "cubic", "area", "pil-bilinear", "pil-bicubic", "pil-lanczos"] = (
        "linear"
    )
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8", "int8"] = "float32"

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image in the model's input, without the batch."""
        channels = len(self.mean)
        return (channels, self.height, self.width) if self.layout == "nchw" else (self.height, self.width, channels)

    def __post_init__(self) -> None:
        channels = 1 if self.colour == "gray" else 3
        if not (0 < self.width <= 16384 and 0 < self.height <= 16384):
            raise ValueError(f"width and height must be 1..16384 pixels, found {self.width}x{self.height}")
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(
                f"mean and std need {channels} values for {self.colour}, found {len(self.mean)} and {len(self.std)}"
            )
        if any(value == 0 for value in self.std) or self.scale == 0:
            raise ValueError("std and scale must not be zero")
        ends = [(p * self.scale - m) / s for m, s in zip(self.mean, self.std, strict=True) for p in (0, 255)]
        if not all(abs(end) <= _FLOAT32_MAX for end in ends):
            raise ValueError("scale, mean and std make values that float32 cannot hold")
        if not 0 <= self.pad_value <= 255:
            raise ValueError(f"pad_value must be 0..255, found {self.pad_value}")
        if self.resize_short and not max(self.width, self.height) <= self.resize_short <= 16384:
            raise ValueError(
                f"resize_short must be 0, or from the crop's {self.width}x{self.height} to 16384 pixels, "
                f"found {self.resize_short}"
            )


@dataclass(frozen=True)
class Classify:
    """One score per class: output [N, C] (trailing or leading dimensions of size 1 are squeezed)."""

    task: Literal["classify"] = "classify"
    output: str = ""  # "" is the model's first output
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    top_k: int = 5
    # output[C] is "nothing": some ImageNet models have 1001 classes, the first meaning background.
    first_class: int = 0

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.first_class < 0:
            raise ValueError(
                f"top_k must be at least 1 and first_class at least 0, found {self.top_k} and {self.first_class}"
            )


@dataclass(frozen=True)
class Detect:
    """Boxes with classes. `format` says what the graph's outputs hold, before NMS:

    - "yolo": [N, 4+C, A] or [N, A, 4+C], cx cy w h in input pixels then class scores (Ultralytics v8 and later).
    - "yolo-objectness": [N, A, 5+C], the same with an objectness before the classes (YOLOv5, v7).
    - "grid": rows dx dy log(w) log(h) [objectness] classes per anchor point of each stride's grid, row-major,
      cx = (gx + dx) * stride, w = exp(log w) * stride (YOLOX, arXiv 2107.08430, section 2.1).
    - "fastest": grid format of FastestDet: [N, 5+C, H, W], objectness, tanh/sigmoid offsets, classes.
    - "boxes-scores": two outputs, boxes [N, A, 4] and class scores [N, A, C] (SSD, DETR). A third one, if named in
      `outputs`, holds anchors [N, A, 4]: the boxes are then offsets of the anchors' corners, in units of their size.
    - "final": [N, K, 6], x1 y1 x2 y2 score class, already suppressed (end-to-end detectors).
    - "final-split": three or four outputs as TensorFlow's detection post-processing writes them: boxes [N, K, 4],
      classes [N, K], scores [N, K] and an optional count [N].
    """

    task: Literal["detect"] = "detect"
    format: Literal["yolo", "yolo-objectness", "grid", "fastest", "boxes-scores", "final", "final-split"] = "yolo"
    outputs: tuple[str, ...] = ()  # () is the model's outputs in order; else their names in the format's order
    box: Literal["cxcywh", "xyxy", "yxyx"] = "cxcywh"
    normalized: bool = False  # box coordinates are 0..1 of the input instead of pixels
    axis: Literal["channels-first", "channels-last"] = "channels-first"
    strides: tuple[int, ...] = ()  # for "grid"
    objectness: bool = False  # for "grid"
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    # classes that stand for "nothing here" in the score columns: SSD has it first, DETR last.
    background: Literal["none", "first", "last"] = "none"
    nms: bool = True
    class_agnostic: bool = False
    max_det: int = 300

    def __post_init__(self) -> None:
        if any(not 1 <= stride <= 1024 for stride in self.strides):
            raise ValueError(f"strides must be 1..1024 pixels, found {', '.join(map(str, self.strides))}")
        if not 1 <= self.max_det <= 10_000:
            raise ValueError(f"max_det must be 1..10000, found {self.max_det}")


@dataclass(frozen=True)
class Segment:
    """One class per pixel: output [N, C, H, W] scores, or [N, H, W] class indices."""

    task: Literal["segment"] = "segment"
    output: str = ""
    axis: Literal["channels-first", "channels-last"] = "channels-first"
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    background: int = 0  # the class that is not reported; -1: report all
    min_area: float = 0.0005  # fraction of the image; smaller regions are not reported

    def __post_init__(self) -> None:
        if not -1 <= self.background <= 254:
            raise ValueError(f"background must be a class 0..254, or -1 for none, found {self.background}")
        _check_area(self.min_area)


@dataclass(frozen=True)
class Anomaly:
    """An anomaly map [N, 1, H, W] or [N, H, W], and perhaps a score [N]; without one the map's maximum is it.

    `minimum`/`maximum` scale raw scores to 0..1 as anomalib's min-max normalisation does around `raw_threshold`:
    score = clip((raw - raw_threshold) / (maximum - minimum) + 0.5, 0, 1).
    """

    task: Literal["anomaly"] = "anomaly"
    map_output: str = ""
    score_output: str = ""
    normalize: bool = False
    minimum: float = 0.0
    maximum: float = 1.0
    raw_threshold: float = 0.5
    min_area: float = 0.0  # fraction of the image; smaller regions are not reported

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class VerdictRule:
    """When a frame is NG. `any`: a reported object of `classes` (all when empty); `class`: the best class is
    not one of `ok_classes`; `score`: the anomaly score reaches the threshold; `none`: the model does not judge.
    """

    rule: Literal["any", "class", "score", "none"] = "none"
    classes: tuple[str, ...] = ()
    ok_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thresholds:
    """Confidence below which nothing is reported, and the overlap (IoU) above which boxes are merged; 0..1."""

    confidence: float = 0.25
    iou: float = 0.45

    def __post_init__(self) -> None:
        for name in ("confidence", "iou"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be 0..1, found {getattr(self, name)}")


@dataclass(frozen=True)
class NodePrecision:
    """The arithmetic chosen for one node that carries weights or could have been quantized, and why."""

    node: str
    op: str
    precision: Precision
    reason: str
    # signal-to-noise ratio (dB) of the outputs when only this node is int8, and for a node that is int8 because it lies
    # between int8 nodes, of the whole mix; None: not measured
    sqnr_db: Union[float, None] = None


@dataclass(frozen=True)
class Block:
    """One slice of the graph: nodes that run together and the bytes of weights.bin that only they need.

    `inputs`/`outputs` are value names; a value is made by an earlier block or is a model input. `offset` is
    4096-aligned. Tensors that several blocks read lie in the block that reads them first.
    """

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: int
    offset: int
    size: int
    sha256: str  # of those bytes of weights.bin


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 of one file of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Accuracy:
    """One measured figure: what was measured on which data, FP32 against the bundle."""

    metric: str  # "top1", "map50", "map33", "sqnr_db", "agreement", ...
    data: str  # "imagenet: 300 images", "calibration: 32 images", ...
    fp32: Union[float, None]  # None for a figure that compares with FP32 itself
    bundle: float
    # the bundle's 95 % interval over images; None: not known
    low: Union[float, None] = None
    high: Union[float, None] = None


@dataclass(frozen=True)
class Stage:
    """One step from FP32 to the bundle, measured on held-back samples (that ranges were not calibrated on)."""

    name: str  # "min-max ranges", "searched ranges", "equalization", "precision search", ...
    sqnr_db: Union[float, None]  # of the part of the outputs that suffers most, against FP32
    agreement: Union[float, None]  # 0..1: same class, boxes matched (F1) or mask IoU against FP32; None for raw tensors
    kept: bool  # False: it gained nothing and was undone
    note: str = ""


@dataclass(frozen=True)
class Latency:
    """Both graphs in plain onnxruntime on the machine that precision was chosen for: medians of alternating runs."""

    machine: str
    threads: int
    fp32_ms: float
    bundle_ms: float


@dataclass(frozen=True)
class Certificate:
    """What the export did to the model and how it knows: the steps in order, and what to try next."""

    effort: Literal["fast", "good", "best"]
    target: str  # what latencies were measured on, "" where precision was chosen without any
    max_drop: float  # loss of agreement with FP32 that was allowed on the held-back samples, 0..1
    held_back: str  # what those samples were
    stages: tuple[Stage, ...]
    latency: Union[Latency, None] = None
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelInfo:
    """Who the model is. `sha256` is that of the source file (FP32), `precision` the mix in words."""

    name: str
    version: str
    sha256: str
    opset: int
    precision: str
    fp32_bytes: int  # size of the source ONNX, external data included
    weight_bytes: int  # weights stored in the bundle


@dataclass(frozen=True)
class Provenance:
    """How the bundle was made: enough to make it again."""

    created_utc: str
    edgeline: str
    onnx: str
    onnxruntime: str
    source: str
    calibration: str
    command: str


@dataclass(frozen=True)
class Manifest:
    """The whole manifest.json. `preprocess` is None when the inputs are tensors that only the caller can make."""

    schema: Literal[1]
    model: ModelInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: Union[Preprocess, None]
    postprocess: Postprocess
    labels: tuple[str, ...]
    thresholds: Thresholds
    verdict: VerdictRule
    precision: tuple[NodePrecision, ...]
    blocks: tuple[Block, ...]
    accuracy: tuple[Accuracy, ...]
    provenance: Provenance
    certificate: Union[Certificate, None] = None
    files: dict[str, FileEntry] = field(default_factory=dict)
    digest: str = ""  # of the manifest itself, see seal.py
