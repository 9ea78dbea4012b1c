"""Objects with boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.results import Box, Prediction
from edge_runtime.vision.class_names import class_name
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import MOST_CANDIDATES, nms, to_original
from edge_runtime.vision.postprocess.candidates import Candidates, Question
from edge_runtime.vision.postprocess.readers.table import READERS
from edge_runtime.vision.postprocess.seen import Seen, reported
from edge_runtime.vision.postprocess.tensors import check_finite, floats, split
from edge_runtime.vision.settings import Settings

__all__ = ["candidates", "detect"]


def detect(
    spec: Detect,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Seen]:
    """Report objects, best first, their boxes in pixels of the original image."""
    seen = []
    for found, place in zip(candidates(spec, facts, outputs, placements, settings.confidence), placements, strict=True):
        judged = _report(_select(found, spec, settings), place, facts.labels)
        seen.append(Seen(predictions=reported(judged, settings), judged=judged))
    return seen


def candidates(
    spec: Detect,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    confidence: float,
) -> list[Candidates]:
    """What the outputs hold for each image, duplicates and all, from `confidence` on."""
    names = spec.outputs or tuple(output.name for output in facts.outputs)
    reader = READERS[spec.format]
    if len(names) < reader.least:
        raise EngineError(
            f"expected {reader.least} outputs for format {spec.format!r}, found {', '.join(names) or 'none'}; "
            f"export again with the right --format"
        )
    names = names[: reader.most if spec.outputs or reader.rest else reader.least]
    tensors = [_floats(split(outputs, name, len(placements)), name) for name in names]
    read, labels = reader.load(), len(facts.labels)
    return [
        read(Question(spec, names, labels, confidence, place), [tensor[index] for tensor in tensors])
        for index, place in enumerate(placements)
    ]


def _floats(array: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    # Class ids and counts may be integers of any width, and a model with NMS inside may give no row at all.
    return array.astype(np.float32) if array.dtype.kind in "iu" or not array.size else floats(array, name)


def _select(found: Candidates, spec: Detect, settings: Settings) -> Candidates:
    """The candidates, best first, without duplicates unless the model removed them itself."""
    check_finite(found.boxes, "boxes, decoded")
    if spec.nms and not READERS[spec.format].finished:
        return found.take(nms(found.boxes, found.scores, found.classes, settings.iou, spec.class_agnostic))
    return found.take(np.argsort(-found.scores, kind="stable")[:MOST_CANDIDATES])


def _report(found: Candidates, place: Placement, labels: Sequence[str]) -> tuple[Prediction, ...]:
    boxes, alive = to_original(found.boxes, place)
    return tuple(
        Prediction(class_name(labels, class_id), class_id, min(score, 1.0), Box(*box))
        for box, score, class_id in zip(
            boxes[alive].tolist(), found.scores[alive].tolist(), found.classes[alive].tolist(), strict=True
        )
    )
