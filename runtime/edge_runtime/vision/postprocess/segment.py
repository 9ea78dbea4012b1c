"""One class per pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Segment
from edge_runtime.errors import EngineError
from edge_runtime.results import Prediction
from edge_runtime.vision.class_names import class_name
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.seen import Seen, reported
from edge_runtime.vision.postprocess.tensors import activate, check_scores, floats, output_name, split
from edge_runtime.vision.postprocess.window import Window
from edge_runtime.vision.settings import Settings

__all__ = ["segment"]

_VOID = 255  # in the mask: pixels that a centre crop kept from the model, when every class is reported


def segment(
    spec: Segment,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Seen]:
    """Report each connected region of a class other than the background, largest first, and the whole mask.

    A region's confidence is the mean score of its pixels (1 where the model answers with class indices);
    regions below the confidence threshold are not reported. A model with a single channel tells foreground
    (class 1) from background (class 0); with a single label, it names the foreground. Of masks that overlap, the
    whole mask has the class with the best score.
    """
    name = output_name(facts, spec.output)
    array = split(outputs, name, len(placements))
    channel = 1 if spec.axis == "channels-first" else 3
    if array.ndim == 4 and array.shape[channel] == 1 and (spec.indices or array.dtype in (np.int32, np.int64)):
        array = array.squeeze(channel)  # what argmax with keepdims leaves
    if array.ndim == 3:
        maps = _indices(array, name)
        return [
            _report(spec, facts.labels, cells, None, place, settings)
            for cells, place in zip(maps, placements, strict=True)
        ]
    if spec.indices or array.ndim != 4 or not 0 < array.shape[channel] <= _VOID:
        raise EngineError(
            f"expected output {name!r} of shape [N, C, H, W] or [N, H, W] with at most {_VOID} classes, "
            f"found {list(array.shape)}; export again with the right --axis or --task"
        )
    scores = floats(array, name)
    # Whole planes are reduced several times faster than the few channels of each pixel.
    scores = np.ascontiguousarray(scores if channel == 1 else scores.transpose(0, 3, 1, 2))
    if spec.activation == "none":
        check_scores(scores, name, spec.activation)
    labels = facts.labels
    if spec.multilabel:
        scores, spec = activate(scores, spec.activation, axis=1), replace(spec, activation="none")
        cells = [np.where(planes.max(axis=0) > spec.threshold, _best(planes), _VOID).astype(np.uint8)
                 for planes in scores]  # fmt: skip
    elif scores.shape[1] == 1:
        front = activate(scores, "none" if spec.activation == "none" else "sigmoid", axis=1)
        scores = np.concatenate([1 - front, front], axis=1)
        spec = replace(spec, activation="none")
        labels = ("background", *labels) if len(labels) == 1 else labels
        cells = list((front[:, 0] > spec.threshold).view(np.uint8))
    else:
        cells = [_best(planes) for planes in scores]
    return [
        _report(spec, labels, best, planes, place, settings)
        for best, planes, place in zip(cells, scores, placements, strict=True)
    ]


def _best(planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """argmax over the first axis of [C, H, W], the first of equals; numpy's own takes six times as long."""
    top = planes.max(axis=0)
    count = len(planes)
    rank = np.zeros(top.shape, np.uint8)
    for index, plane in enumerate(planes):
        np.maximum(rank, (plane == top).view(np.uint8) * np.uint8(count - index), out=rank)
    return np.asarray(np.uint8(count) - rank, np.uint8)


def _indices(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    values = array if array.dtype.kind in "iub" else floats(array, name)
    fits = values.size and values.min() >= 0 and values.max() < _VOID
    found = values.astype(np.uint8) if fits else np.zeros(0, np.uint8)
    if not fits or not np.array_equal(found, values):
        raise EngineError(
            f"expected class indices 0..{_VOID - 1} in output {name!r} of shape {list(array.shape)}, "
            f"found {', '.join(map(str, np.unique(values)[:3]))}, ...; export again with the right --task"
        )
    return found


def _report(
    spec: Segment,
    labels: Sequence[str],
    cells: NDArray[np.uint8],
    planes: NDArray[np.float32] | None,
    place: Placement,
    settings: Settings,
) -> Seen:
    """Regions of one image: `cells` [H, W] are classes, `planes` [C, H, W] scores before activation."""
    window = Window(place, *cells.shape)
    least = spec.min_area if settings.min_area is None else settings.min_area
    rows, columns = window.cells
    shown = cells[rows, columns]
    found = []
    masks = planes[:, rows, columns] > spec.threshold if planes is not None and spec.multilabel else None
    for class_id in np.unique(shown).tolist() if masks is None else range(len(masks)):
        if class_id == spec.background:
            continue
        for region in window.regions(shown == class_id if masks is None else masks[class_id], least):
            mean = 1.0
            if planes is not None:
                inside = planes[:, rows, columns][:, region.rows, region.columns][:, region.inside]  # [C, pixels]
                mean = float(activate(inside, spec.activation, axis=0)[class_id].mean())
            if mean >= settings.confidence:
                name = class_name(labels, class_id)
                found.append(Prediction(name, class_id, min(mean, 1.0), region.box, region.area))
    found.sort(key=lambda prediction: -(prediction.area or 0.0))
    outside = spec.background if spec.background >= 0 else _VOID
    return Seen(predictions=reported(found, settings), judged=tuple(found), mask=window.nearest(cells, outside))
