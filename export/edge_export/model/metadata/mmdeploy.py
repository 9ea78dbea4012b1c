"""mmdeploy's pipeline.json, which it writes beside a model for its SDK: the pre-processing, step by step.

The file is made by mmdeploy/backend/sdk/export_info.py: sizes are width before height (mmcv's scale, which
csrc/mmdeploy/preprocess/transform/resize.cpp reads so), `to_rgb` turns the BGR picture, and means and deviations are
in units of the 0..255 pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Union

from edge_export.model.graph_io import ImageInput
from edge_export.model.metadata.steps import Steps
from edge_export.model.parse import number, numbers, read_json
from edge_export.state import KnownFacts

__all__ = ["read_mmdeploy"]

_FILE = "pipeline.json"
_ORIGIN = f"file {_FILE}"
_NOTHING_DONE = ("LoadImageFromFile", "ImageToTensor", "DefaultFormatBundle", "Collect", "ToFloat32")


def read_mmdeploy(folder: Path, image: ImageInput | None) -> KnownFacts | None:
    """Facts of a model that mmdeploy's pipeline.json lies beside; None without one, or where it is no such file."""
    data = read_json(folder / _FILE)
    pipeline = data.get("pipeline") if data is not None else None
    tasks = pipeline.get("tasks") if isinstance(pipeline, dict) else None
    if not isinstance(tasks, list):
        return None
    done = [task for task in tasks if isinstance(task, dict) and task.get("module") == "Transform"]
    transforms = done[0].get("transforms") if len(done) == 1 else None
    steps = _steps(transforms) if isinstance(transforms, list) else "it has no single list of transforms"
    if isinstance(steps, str):
        note = f"{_FILE} beside the model: {steps}; its pixels were not read there"
        return KnownFacts(notes=(note,)).found_in(_ORIGIN)
    return KnownFacts(preprocess=steps.preprocess(image) if image is not None else None).found_in(_ORIGIN)


def _steps(transforms: list[Any]) -> Union[Steps, str]:
    """What the steps come to, or which of them is not known here."""
    steps, resized, normalized, padded = Steps(rgb=False), 0, False, False
    for entry in transforms:
        if not isinstance(entry, Mapping):
            return "a step is no object"
        kind = str(entry.get("type"))
        if kind in ("Resize", "ResizeEdge"):
            size = numbers(entry.get("size", entry.get("scale")))
            if size is None:
                return f"{kind} has no size"
            resized = int(size[0])
            if len(size) == 2 and size[1] > 0:
                steps = replace(steps, size=(int(size[0]), int(size[1])), keeps_ratio=entry.get("keep_ratio") is True)
        elif kind == "LetterResize":  # mmyolo's
            size = numbers(entry.get("scale"))
            if size is None or len(size) != 2:
                return "LetterResize has no scale"
            grey = _pad(entry.get("pad_val")) or 0
            steps, padded = replace(steps, size=(int(size[0]), int(size[1])), keeps_ratio=True, centred=True), True
            # The step before it, YOLOv5KeepRatioResize, shrinks by area; mmdeploy leaves that out of the file.
            steps = replace(steps, pad_value=grey, interpolation="area")
        elif kind == "CenterCrop":
            side = numbers(_pair(entry.get("crop_size")))
            if side is None or not resized:
                return "CenterCrop has no crop_size, or nothing is resized before"
            steps = replace(steps, size=(int(side[-1]), int(side[0])), short_side=resized)
        elif kind == "Pad":
            value = _pad(entry.get("pad_val")) or 0
            if normalized and not value:  # what is 0 then was the mean
                value = min(255, max(0, round(sum(steps.mean) / len(steps.mean))))
            steps = steps if padded else replace(steps, pad_value=value)
            padded = True
        elif kind == "Normalize":
            mean, std = numbers(entry.get("mean")), numbers(entry.get("std"))
            if mean is None or std is None:
                return "Normalize has no mean and std"
            normalized = True
            steps = replace(steps, mean=mean, std=std, rgb=entry.get("to_rgb", True) is True)
        elif kind not in _NOTHING_DONE:
            return f"the step {kind[:40]!r} is not known"
    return steps


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def _pad(value: Any) -> int | None:
    """The grey of what is filled up: a number, a list, or either of them for "img"."""
    value = value.get("img") if isinstance(value, dict) else value
    found = numbers(_pair(value))
    return None if found is None or number(found[0], 0, 255) is None else round(found[0])
