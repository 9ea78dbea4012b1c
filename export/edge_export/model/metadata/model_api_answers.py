"""What a model of model_api answers, by the type that its `model_info` names; a function for each kind of answer.

Types that are not read are said to be raw (of YOLO, YOLOV4 and YOLOF model_api 0.4.7 fails in its own code, too).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_export.model.graph_io import ImageInput, Output
from edge_export.model.parse import boolean, number
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Masks, Points, Postprocess, Raw, Segment

__all__ = ["ANOMALIES", "BESIDE", "INSTANCES", "NOT_READ", "ULTRALYTICS", "Told", "answers_of", "channels_of"]

# Outputs beside the answer, for explanations.
BESIDE = ("saliency_map", "feature_vector")
ANOMALIES = ("anomalydetection", "anomaly")
INSTANCES = ("maskrcnn", "detrinstseg")
# Ultralytics' rows of boxes and class scores.
ULTRALYTICS = ("yolov5", "yolov8", "yolo_v8", "yolo11", "yolov11")
# What a layer of scores ends in: its values are no probabilities.
_LOGITS = ("Conv", "ConvTranspose", "Add", "Gemm", "MatMul", "BatchNormalization")
_MOST = 10_000
# Types that no post-processing here reads, and why.
NOT_READ: Mapping[str, str] = {
    "action classification": "it judges films, not pictures",
    "sam_image_encoder": "it gives features of a picture, no answer",
    "sam_decoder": "it waits for places that a person points to",
    "yolo": "regions of Darknet's YOLO are not decoded here",
    "yolov4": "heads of Darknet's YOLO are not decoded here",
    "yolof": "heads of YOLOF are not decoded here",
    "yolov3-onnx": "which of its boxes are meant is told by indices, which are not read here",
}


@dataclass(frozen=True)
class Told:
    """What the reading of a type, `kind`, has to go by. `labels` are the model's, `notes` is added to."""

    kind: str
    info: Mapping[str, str]
    image: ImageInput | None
    outputs: tuple[Output, ...]
    labels: tuple[str, ...] | None
    notes: list[str]

    @property
    def answers(self) -> tuple[Output, ...]:
        """The outputs less those that explain."""
        return tuple(one for one in self.outputs if one.name not in BESIDE)

    @property
    def first(self) -> str:
        """The first answer's name, "" where it is the first output of all."""
        answers = self.answers
        return answers[0].name if answers and answers[0] is not self.outputs[0] else ""

    def says(self, key: str, default: bool = False) -> bool:
        """A yes or no of `model_info`."""
        return bool(boolean(self.info.get(key, str(default))))

    def value(self, key: str, low: float, high: float) -> float | None:
        """A number of `model_info`, None where it is none within the range."""
        return number(self.info.get(key), low, high)


Read = Callable[[Told], "Postprocess | None"]


def answers_of(told: Told) -> Postprocess | None:
    """The post-processing of a type; None where names and shapes of the outputs tell it (the families table)."""
    kind = told.kind
    read = _READ.get(kind)
    post = read(told) if read is not None else None
    if post is not None or kind in _BY_TABLE:
        return post
    why = NOT_READ.get(kind, f"with {len(told.outputs)} outputs it has no post-processing here")
    told.notes.append(f"model_api type {kind[:40]!r}: {why}: raw tensors")
    return Raw()


def channels_of(post: Segment, outputs: Sequence[Output]) -> int | None:
    """How many scores a pixel has, None where that is not known."""
    shape = next((one.shape for one in outputs if post.output in ("", one.name)), None)
    return shape[1 if post.axis == "channels-first" else 3] if shape is not None and len(shape) == 4 else None


def _rank(output: Output) -> int:
    return len(output.shape) if output.shape is not None else 0


def _classify(told: Told) -> Postprocess:
    if told.says("hierarchical"):
        told.notes.append("hierarchical classification has no post-processing here: raw tensors")
        return Raw()
    several, answers = told.says("multilabel"), told.answers
    ready = bool(answers) and answers[0].maker in ("Softmax", "Sigmoid")
    return Classify(
        output=told.first,
        activation="none" if ready else "sigmoid" if several else "softmax",
        multilabel=several and ready,
    )


def _segment(told: Told) -> Postprocess:
    """Scores per class: the graph has its softmax, or ends in a layer. A single channel is the class itself."""
    answers, image = told.answers, told.image
    flat = bool(answers) and _rank(answers[0]) == 3
    last = image is not None and image.layout == "nhwc" and not flat
    single = channels_of(Segment(output=told.first), told.outputs) == 1 and not last
    logits = bool(answers) and not flat and not single and answers[0].maker in _LOGITS
    return Segment(
        output=told.first,
        axis="channels-last" if last else "channels-first",
        activation="softmax" if logits else "none",
        indices=single,
    )


def _anomaly(told: Told) -> Postprocess:
    """anomalib before 2.0 exports raw scores with their normalization beside them; later ones normalize inside."""
    names = [output.name for output in told.outputs]
    if "anomaly_map" in names and "pred_score" in names:
        return Anomaly(map_output="anomaly_map", score_output="pred_score")
    threshold, scale = told.value("image_threshold", -1e9, 1e9), told.value("normalization_scale", 1e-9, 1e9)
    if threshold is None or scale is None:
        told.notes.append("anomaly metadata lacks image_threshold or normalization_scale: scores are taken as 0..1")
        return Anomaly(map_output=names[0] if names else "")
    pixel = told.value("pixel_threshold", -1e9, 1e9)
    return Anomaly(
        map_output=names[0] if names else "",
        normalize=True,
        minimum=0.0,
        maximum=scale,
        raw_threshold=threshold,
        map_threshold=pixel if pixel != threshold else None,
    )


def _ssd(told: Told) -> Postprocess | None:
    """MultipleOutputParser there; SingleOutputParser's and BoxesLabelsParser's outputs are rows of the table."""
    if not {"bboxes", "scores", "labels"} <= {one.name for one in told.answers}:
        return None
    return Detect(format="final-split", outputs=("bboxes", "labels", "scores"), box="xyxy", normalized=True, nms=False)


def _instances(told: Told) -> Postprocess | None:
    """Masks that fill their boxes (Mask R-CNN), or the picture (RF-DETR); the outputs are told by their ranks."""
    ranks = {_rank(one): one.name for one in told.answers}
    least = min(ranks, default=0)
    if sorted(ranks) != [least, least + 1, least + 2] or least not in (1, 2) or len(told.answers) != len(ranks):
        return None
    labels, boxes, masks = (ranks[least + more] for more in range(3))
    return Detect(
        format="final-labels",
        outputs=(boxes, labels),
        box="xyxy",
        nms=False,
        masks=Masks(output=masks, kind="boxes" if told.kind == "maskrcnn" else "image", activation="none"),
    )


def _suppressed(post: Detect, told: Told, by_default: bool) -> Detect:
    """`post` with what calculate_nms does there: whether duplicates are removed, and how many boxes may be left."""
    post = replace(
        post, nms=told.says("nms_execute", by_default), class_agnostic=told.says("agnostic_nms", post.class_agnostic)
    )
    if not post.nms:
        told.notes.append("model_info has no nms_execute: duplicates stay, as model_api leaves them (--nms)")
    most = told.value("nms_max_predictions", 0, 1e9)
    return post if most is None else replace(post, max_det=min(int(most), _MOST) or _MOST)


def _rows(told: Told) -> Postprocess | None:
    """Ultralytics' rows, columns first; the older ones of YOLOv5 have their row in the table."""
    answers = told.answers
    shape = answers[0].shape if len(answers) == 1 else None
    if shape is None or len(shape) != 3 or (told.kind == "yolov5" and not _first_is_shorter(shape)):
        return None
    return _suppressed(Detect(format="yolo", box="cxcywh", axis="channels-first"), told, by_default=True)


def _first_is_shorter(shape: tuple[int | None, ...]) -> bool:
    return shape[1] is not None and (shape[2] is None or shape[1] < shape[2])


def _rows_with_masks(told: Told) -> Postprocess | None:
    """YOLOSeg there: rows [N, 4 + C + P, A] and prototypes [N, P, h, w], told by their ranks."""
    rows = [one for one in told.answers if _rank(one) == 3]
    prototypes = [one for one in told.answers if _rank(one) == 4]
    count = (prototypes[0].shape or ())[1] if len(prototypes) == 1 else None
    if len(rows) != 1 or count is None or len(told.answers) != 2:
        return None
    masks = Masks(output=prototypes[0].name, count=count, enlarged="scores")
    return _suppressed(Detect(format="yolo", outputs=(rows[0].name,), masks=masks), told, by_default=False)


def _grid(told: Told) -> Postprocess | None:
    shapes = [one.shape for one in told.answers]
    if len(shapes) != 1 or shapes[0] is None or len(shapes[0]) != 3:
        return None
    grid = Detect(format="grid", axis="channels-last", strides=(8, 16, 32), objectness=True, class_agnostic=True)
    return _suppressed(grid, told, by_default=True)


def _points(told: Told) -> Postprocess | None:
    """SimCC's two lines for each key point, x first; labels are the points' names (KeypointDetectionModel there)."""
    answers = told.answers
    counts = {(one.shape or (None,) * 3)[1] for one in answers if _rank(one) == 3}
    count = next(iter(counts)) if len(answers) == 2 and len(counts) == 1 else None
    if count is None:
        return None
    names = told.labels or ()
    if len(names) not in (0, count):
        told.notes.append(
            f"metadata names {len(names)} key points but the outputs have {count}: the names were ignored"
        )
    return Detect(
        format="simcc",
        outputs=tuple(one.name for one in answers),
        nms=False,
        points=Points(
            count,
            activation="softmax" if told.says("apply_softmax", True) else "none",
            names=names if len(names) == count else (),
        ),
    )


_READ: Mapping[str, Read] = {
    "classification": _classify,
    "segmentation": _segment,
    **dict.fromkeys(ANOMALIES, _anomaly),
    "ssd": _ssd,
    **dict.fromkeys(INSTANCES, _instances),
    **dict.fromkeys((*ULTRALYTICS, "yolo"), _rows),
    "yolo-seg": _rows_with_masks,
    "yolox": _grid,
    "keypoint_detection": _points,
}
# Types whose layout, where it is not read above, is told by names and shapes of outputs.
_BY_TABLE = ("ssd", *INSTANCES, "detection", "object_detection", *ULTRALYTICS)
