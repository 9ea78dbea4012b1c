"""The models of the table: where each comes from, how an image becomes its input, and what its answers are judged by.

Facts of models that other tables measure too come from `known_models`; what is said here beside them is only what
this table judges differently.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess, Raw
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.files.schema import to_json
from edge_tools.known_models import KNOWN

__all__ = ["SUBJECTS", "Images", "Subject", "Truth", "facts_of"]

Images = Literal["imagenet", "coco128", "pcb"]
# "images": no labels, only fidelity to FP32. "person": coco128's boxes say whether a person is there.
Truth = Literal["imagenet", "coco128", "deeppcb", "person", "images"]


@dataclass(frozen=True)
class Subject:
    """One model of the table.

    `source` is "data/..." (below --data), "samples/..." (of this checkout) or "zoo/NAME" (random weights, made on
    demand). `prepared` "all": opset raised, shapes inferred, graph optimized as onnxruntime's quant_pre_process does,
    before anybody gets it; "others": edgeline gets the file as found, the others the prepared one, which most of them
    need; "none": everybody gets it as found.
    """

    source: str
    preprocess: Preprocess
    postprocess: Postprocess
    calibrate: Images
    truth: Truth
    images: tuple[Images, ...] = ()  # with truth "images": those that answers are compared on
    prepared: Literal["all", "others", "none"] = "others"
    labels: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    cut: str = ""  # with prepared "all": the one output that is left, a value inside the graph
    transformer: bool = False
    quick: bool = True  # part of a run without --models


def _known(file: str, **changes: Any) -> Subject:
    known = KNOWN[file]
    assert known.preprocess is not None  # the table's own choice of models
    data: Images = "imagenet" if known.data == "imagenet" else "coco128"
    subject = Subject(f"data/models/{file}", known.preprocess, known.postprocess, data, "images", (data,))
    return dataclasses.replace(subject, **changes)


_YOLOX = _known("opencvzoo_yolox_nano_coco.onnx", truth="coco128")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PHOTOGRAPH = Preprocess(224, 224, fit="crop", resize_short=256, mean=_MEAN, std=_STD)

SUBJECTS: dict[str, Subject] = {
    "yolox-nano": dataclasses.replace(_YOLOX, prepared="none"),
    "yolox-nano-prepared": dataclasses.replace(_YOLOX, prepared="all"),
    "pcb": Subject(
        "samples/pcb/pcb.onnx",
        Preprocess(640, 640, fit="letterbox", pad_value=0, colour="gray", mean=(0.0,), std=(1.0,)),
        Detect(format="grid", strides=(8,), activation="sigmoid"),
        "pcb",
        "deeppcb",
        labels=("open", "short", "mousebite", "spur", "copper", "pinhole"),
        thresholds=Thresholds(0.55, 0.4),
    ),
    "squeezenet": _known(
        "ort_squeezenet_tensor_input.onnx",
        postprocess=Classify(output="loss", activation="none"),  # ten classes of its own, not ImageNet's
        prepared="all",  # as found it answers with text and a map from label to score
    ),
    # Without the sigmoid at its end, which some recipes quantize: scores of 0.0003 all become 0.
    "squeezenet-logits": _known(
        "ort_squeezenet_tensor_input.onnx",
        postprocess=Classify(output="fc", activation="sigmoid"),
        prepared="all",
        cut="fc",
        quick=False,
    ),
    "mobilenet-v2": _known("st_mobilenet_v2_0.35_128_tfs.onnx"),
    "resnet8": _known("mlperftiny_resnet8_float.onnx", calibrate="imagenet", images=("imagenet", "coco128")),
    "vww": _known("mlperftiny_vww96_float.onnx", truth="person", labels=("no person", "person")),
    "deeplabv3": _known("tfex_deeplabv3_257_mv_gpu.onnx"),
    "vit-b16": Subject("zoo/vit-b16", _PHOTOGRAPH, Raw(), "imagenet", "images", ("imagenet",), transformer=True),
    "resnet50": Subject("zoo/resnet50", _PHOTOGRAPH, Raw(), "imagenet", "images", ("imagenet",)),
    "fastestdet": _known("dogqiuqiu_FastestDet_coco.onnx", truth="coco128", quick=False),
    "ultraface": _known("ultraface_version-RFB-320.onnx", quick=False),
}


def facts_of(subject: Subject) -> str:
    """Return what `edge-export --facts` reads, as JSON text."""
    content: dict[str, Any] = {
        "preprocess": to_json(subject.preprocess),
        "postprocess": to_json(subject.postprocess),
        "thresholds": to_json(subject.thresholds),
    }
    if subject.labels:
        content["labels"] = list(subject.labels)
    return json.dumps(content, sort_keys=True)
