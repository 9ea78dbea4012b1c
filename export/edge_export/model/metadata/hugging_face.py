"""A Hugging Face folder's config.json and preprocessor_config.json (transformers' image processors).

An image processor resizes with Pillow, cuts the centre, multiplies by `rescale_factor`, then normalizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from edge_export.model.metadata.hugging_face_size import Fit, read_fit
from edge_export.model.parse import label_list, number, numbers, read_json
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import ModelError

__all__ = ["facts_of_folder", "task_of"]

_ORIGIN = "Hugging Face config"
_Kernel = Literal["nearest", "linear", "cubic", "area", "pil-bilinear", "pil-bicubic", "pil-lanczos"]
# Pillow's numbers; transformers stores them in `resample`. Box and Hamming (4, 5) have no kernel here.
_KERNELS: dict[int, _Kernel] = {0: "nearest", 1: "pil-lanczos", 2: "pil-bilinear", 3: "pil-bicubic"}
_TASKS = {
    "ForImageClassification": "image-classification",
    "ForImageClassificationWithTeacher": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForSemanticSegmentation": "semantic-segmentation",
    "Model": "feature-extraction",
    "Backbone": "feature-extraction",
}
# DETR and its kin score with a softmax whose last class is "no object"; the later ones with independent
# sigmoids.
_SOFTMAX_DETECTORS = {"detr", "yolos", "table-transformer", "conditional_detr_softmax"}


def facts_of_folder(folder: Path, task: str | None = None) -> KnownFacts:
    """Facts of a model folder. Raises ModelError when config.json is missing or is no JSON object."""
    config = read_json(folder / "config.json")
    if config is None:
        raise ModelError(
            f"{folder}: expected a Hugging Face model folder with a readable config.json, found none; "
            f"give the folder that save_pretrained wrote, or an .onnx file"
        )
    notes: list[str] = []
    task = task or task_of(config)
    labels = label_list(config.get("id2label"))
    if "id2label" in config and labels is None:
        notes.append("config.json id2label is not a table of class names and was ignored")
    post = _postprocess(config, task, labels)
    if post is None:
        labels = None
    elif "id2label" not in config:
        # transformers leaves its default of two classes out of the file
        labels = ("LABEL_0", "LABEL_1")
    pre = _preprocess(folder, config, notes)
    return KnownFacts(
        name=_name(config, folder),
        preprocess=pre,
        postprocess=post,
        labels=labels,
        thresholds=Thresholds(confidence=0.5) if isinstance(post, Detect) else None,
        notes=tuple(notes),
    ).found_in(_ORIGIN)


def task_of(config: Mapping[str, Any]) -> str | None:
    """optimum's name for what the folder's architecture does; None when it is no image task known here."""
    architectures = config.get("architectures")
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    return next((task for suffix, task in _TASKS.items() if name.endswith(suffix)), None)


def _name(config: Mapping[str, Any], folder: Path) -> str:
    name = config.get("_name_or_path")
    if isinstance(name, str) and name.strip("./"):
        return name.rstrip("/").rsplit("/", 1)[-1][:80]
    return folder.resolve().name


def _postprocess(config: Mapping[str, Any], task: str | None, labels: tuple[str, ...] | None) -> Postprocess | None:
    if task == "image-classification":
        several = config.get("problem_type") == "multi_label_classification"
        return Classify(output="logits", activation="sigmoid" if several else "softmax")
    if task == "object-detection":
        softmax = config.get("model_type") in _SOFTMAX_DETECTORS
        return Detect(
            format="boxes-scores",
            outputs=("pred_boxes", "logits"),
            box="cxcywh",
            normalized=True,
            activation="softmax" if softmax else "sigmoid",
            background="last" if softmax else "none",
            nms=False,
        )
    if task == "semantic-segmentation":
        nothing = labels is not None and labels[0].lower() in ("background", "unlabeled", "unlabelled")
        return Segment(output="logits", activation="softmax", background=0 if nothing else -1)
    return None


def _preprocess(folder: Path, config: Mapping[str, Any], notes: list[str]) -> Preprocess | None:
    processor = read_json(folder / "preprocessor_config.json")
    if processor is None:
        notes.append("preprocessor_config.json is missing or unreadable: the pre-processing is not known")
        return None
    fit = read_fit(processor, config, notes)
    if fit is None:
        notes.append("preprocessor_config.json does not say the image size: the pre-processing is not known")
        return None
    channels = 1 if config.get("num_channels") == 1 else 3
    scale = number(processor.get("rescale_factor", 1 / 255), 1e-9, 1e9) if processor.get("do_rescale", True) else 1.0
    if scale is None:
        notes.append("preprocessor_config.json rescale_factor is no usable number; 1/255 is taken")
        scale = 1 / 255
    mean, std = _normalization(processor, channels, notes)
    return Preprocess(
        width=fit.width,
        height=fit.height,
        fit=fit.fit,
        resize_short=fit.resize_short,
        interpolation=_kernel(processor, fit, notes),
        colour="gray" if channels == 1 else "bgr" if processor.get("do_flip_channel_order") is True else "rgb",
        scale=scale,
        mean=mean,
        std=std,
    )


def _kernel(processor: Mapping[str, Any], fit: Fit, notes: list[str]) -> _Kernel:
    resample = processor.get("resample", 2)
    kernel = _KERNELS.get(resample) if isinstance(resample, int) and not isinstance(resample, bool) else None
    if kernel is None:
        notes.append(f"preprocessor_config.json resample {resample!r} has no kernel here; pil-bilinear is taken")
        return "pil-bilinear"
    return kernel


def _normalization(
    processor: Mapping[str, Any], channels: int, notes: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    plain = (0.0,) * channels, (1.0,) * channels
    if not processor.get("do_normalize", True) or "image_mean" not in processor:
        return plain
    values = []
    for key in ("image_mean", "image_std"):
        raw = processor.get(key)
        found = numbers([raw] if isinstance(raw, (int, float)) else raw)
        if found is not None and len(found) == 1:
            found = found * channels
        if found is None or len(found) != channels or (key == "image_std" and 0.0 in found):
            notes.append(f"preprocessor_config.json {key} is not {channels} usable numbers: nothing is normalized")
            return plain
        values.append(found)
    return values[0], values[1]
