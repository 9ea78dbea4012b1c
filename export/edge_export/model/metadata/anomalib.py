"""anomalib before 2.0: metadata.json beside the model holds what scales its scores (deploy/export.py there).

score = clip((raw - image_threshold) / (max - min) + 0.5, 0, 1), the map with pixel_threshold. Before 1.0 the
pre-processing is in the file, too; since then it is in the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_export.model.families.common import UNIT
from edge_export.model.graph_io import ImageInput, Output
from edge_export.model.parse import number, numbers, read_json
from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["read_anomalib"]

_FILE = "metadata.json"
_ORIGIN = f"anomalib {_FILE}"


def read_anomalib(folder: Path, image: ImageInput | None, outputs: tuple[Output, ...]) -> KnownFacts | None:
    """Facts of a model that anomalib's metadata.json lies beside; None without one, or where it says of none of these
    outputs how it is scaled.
    """
    path = folder / _FILE
    if not path.is_file() or any(output.name == "pred_label" for output in outputs):  # 2.0 scales inside
        return None
    data = read_json(path)
    if data is None or "image_threshold" not in data:
        return None
    map_output = next((one.name for one in outputs if one.shape and len(one.shape) in (3, 4)), "")
    score_output = next((one.name for one in outputs if one.shape is not None and _is_score(one.shape)), "")
    limit, pixel = _value(data, "image_threshold"), _value(data, "pixel_threshold")
    low, high = _range(data, "pred_scores")
    map_low, map_high = _range(data, "anomaly_maps")
    if limit is None or low is None or high is None or not high > low or not (map_output or score_output):
        note = f"{_FILE} beside the model has no usable image_threshold, min and max: it was not used"
        return KnownFacts(notes=(note,)).found_in(_ORIGIN)
    own = pixel is not None and pixel != limit
    span = None if map_low is None or map_high is None or not map_high > map_low else map_high - map_low
    post = Anomaly(
        map_output=map_output or score_output,
        score_output=score_output,
        normalize=True,
        minimum=low,
        maximum=high,
        raw_threshold=limit,
        map_threshold=pixel if own else None,
        map_span=span if span is not None and abs(span - (high - low)) > 1e-9 else None,
    )
    return KnownFacts(
        preprocess=_preprocess(data, image),
        postprocess=post,
        thresholds=Thresholds(confidence=0.5),
        verdict=VerdictRule("score"),
    ).found_in(_ORIGIN)


def _is_score(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _value(data: Mapping[str, Any], key: str) -> float | None:
    return number(data.get(key), -1e9, 1e9)


def _range(data: Mapping[str, Any], of: str) -> tuple[float | None, float | None]:
    low, high = _value(data, f"{of}.min"), _value(data, f"{of}.max")
    return (_value(data, "min"), _value(data, "max")) if low is None or high is None else (low, high)


def _preprocess(data: Mapping[str, Any], image: ImageInput | None) -> Preprocess | None:
    """That of albumentations' Normalize, where the file has one; without any transform the graph has it."""
    transform = data.get("transform")
    if transform is None:
        return UNIT.preprocess(image) if image is not None else None
    step = next(_steps(transform), None)
    if step is None or image is None or image.channels != 3 or not image.width or not image.height:
        return None
    mean, std = numbers(step.get("mean")), numbers(step.get("std"))
    most = number(step.get("max_pixel_value", 255.0), 1e-9, 1e9)
    if mean is None or std is None or len(mean) != 3 or len(std) != 3 or 0.0 in std or most is None:
        return None
    return Preprocess(
        width=image.width, height=image.height, scale=1 / most, mean=mean, std=std, layout=image.layout,
        dtype=image.dtype,
    )  # fmt: skip


def _steps(transform: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Each Normalize in an albumentations pipeline as JSON has it."""
    if isinstance(transform, dict) and depth < 5:
        if str(transform.get("__class_fullname__", "")).endswith("Normalize"):
            yield transform
        yield from _steps(transform.get("transform"), depth + 1)
        inner = transform.get("transforms")
        for step in inner if isinstance(inner, list) else ():
            yield from _steps(step, depth + 1)
