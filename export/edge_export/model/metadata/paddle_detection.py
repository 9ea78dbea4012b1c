"""PaddleDetection's infer_cfg.yml, which its exporter writes beside a model: pre-processing, labels, threshold.

The steps are those of deploy/python/preprocess.py there: pictures are RGB, and NormalizeImage divides by 255 unless it
says `is_scale: false`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Union

from edge_export.model.graph_io import ImageInput
from edge_export.model.metadata.steps import Steps
from edge_export.model.parse import label_list, number, numbers
from edge_export.model.yaml_text import read_yaml
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds

__all__ = ["read_paddle_detection"]

_FILE = "infer_cfg.yml"
_ORIGIN = f"file {_FILE}"
_IOU = 0.7  # PP-YOLOE's, which the file does not say; PicoDet's it does
_KERNELS: dict[Any, Literal["nearest", "linear", "cubic", "area"]] = {0: "nearest", 1: "linear", 2: "cubic", 3: "area"}


def read_paddle_detection(folder: Path, image: ImageInput | None) -> KnownFacts | None:
    """Facts of a model that an infer_cfg.yml lies beside; None without one, or where it is no such file."""
    if not (folder / _FILE).is_file():
        return None
    data = read_yaml(folder / _FILE)
    if data is None or not isinstance(data.get("Preprocess"), list):
        return KnownFacts(notes=(f"{_FILE} beside the model cannot be read: it was not used",)).found_in(_ORIGIN)
    steps = _steps(data["Preprocess"])
    notes = () if isinstance(steps, Steps) else (f"{_FILE} beside the model: {steps}; its pixels were not read there",)
    confidence, nms = number(data.get("draw_threshold"), 0, 1), data.get("NMS")
    iou = number(nms.get("nms_threshold"), 0, 1) if isinstance(nms, Mapping) else None
    return KnownFacts(
        preprocess=steps.preprocess(image) if isinstance(steps, Steps) and image is not None else None,
        labels=label_list(data.get("label_list")),
        thresholds=Thresholds(confidence, _IOU if iou is None else iou) if confidence is not None else None,
        notes=notes,
    ).found_in(_ORIGIN)


def _steps(entries: Sequence[Any]) -> Union[Steps, str]:
    """What the steps come to, or which of them is not known here."""
    steps = Steps()
    for entry in entries:
        if not isinstance(entry, Mapping):
            return "a step is no mapping"
        kind = entry.get("type")
        if kind == "Resize":
            size = numbers(entry.get("target_size"))
            if size is None or len(size) != 2:
                return "Resize has no target_size"
            steps = replace(
                steps,
                size=(int(size[1]), int(size[0])),
                keeps_ratio=entry.get("keep_ratio") is True,
                interpolation=_KERNELS.get(entry.get("interp", 2), "linear"),
            )
        elif kind == "NormalizeImage":
            mean, std = numbers(entry.get("mean")), numbers(entry.get("std"))
            if entry.get("norm_type", "mean_std") == "none":
                mean, std = (0.0,) * 3, (1.0,) * 3
            if mean is None or std is None:
                return "NormalizeImage has no mean and std"
            scaled = entry.get("is_scale", True) is not False
            steps = replace(steps, mean=mean, std=std, scale=1 / 255 if scaled else 1.0)
        elif kind not in ("Permute", "PadStride", "PadBatch"):
            return f"the step {str(kind)[:40]!r} is not known"
    # What is filled up after normalization is 0 there: the mean.
    grey = sum(steps.mean) / len(steps.mean) / steps.scale
    return replace(steps, pad_value=min(255, max(0, round(grey))))
