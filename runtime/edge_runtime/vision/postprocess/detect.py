"""Objects with boxes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import MOST_CANDIDATES, nms, to_original
from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped, named
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
    asked = _questions(spec, facts, placements, settings.confidence)
    plain = spec.angle == "none" and spec.points is None and spec.masks is None
    seen = []
    for index, (ask, found) in enumerate(zip(asked, _read(asked, facts, outputs), strict=True)):
        found = _select(found, spec, settings)
        if plain:
            judged = named(found, *to_original(found.boxes, ask.place), facts.labels)
            predictions = reported(judged, settings)
        else:
            from edge_runtime.vision.postprocess.objects import detailed  # loaded when a model needs it

            judged, predictions = detailed(ask, found, outputs, (index, len(asked)), facts.labels, settings)
        seen.append(Seen(predictions=predictions, judged=judged))
    return seen


def candidates(
    spec: Detect,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    confidence: float,
) -> list[Candidates]:
    """What the outputs hold for each image, duplicates and all, from `confidence` on."""
    return _read(_questions(spec, facts, placements, confidence), facts, outputs)


def _questions(spec: Detect, facts: ModelFacts, placements: Sequence[Placement], confidence: float) -> list[Question]:
    names = spec.outputs or tuple(output.name for output in facts.outputs)
    reader = READERS[spec.format]
    if len(names) < reader.least:
        raise EngineError(
            f"expected {reader.least} outputs for format {spec.format!r}, found {', '.join(names) or 'none'}; "
            f"export again with the right --format"
        )
    names = names[: reader.most if spec.outputs or reader.rest else reader.least]
    return [Question(spec, names, len(facts.labels), confidence, place) for place in placements]


def _read(asked: Sequence[Question], facts: ModelFacts, outputs: Mapping[str, NDArray[np.generic]]) -> list[Candidates]:
    if not asked:
        return []
    spec, names, count = asked[0].spec, asked[0].names, len(asked)
    read = READERS[spec.format].load()
    if "batch" not in spec.columns:
        tensors = [_floats(split(outputs, name, count), name) for name in names]
        return [read(ask, [tensor[index] for tensor in tensors]) for index, ask in enumerate(asked)]
    rows = _floats(outputs[names[0]], names[0])
    found = []
    for index, ask in enumerate(asked):
        mine = _rows_of_image(ask, rows, index, max(count, facts.batch or 0))
        part = read(ask, [rows[mine]])
        found.append(part if part.rows is None else dataclasses.replace(part, rows=mine[part.rows]))
    return found


def _rows_of_image(ask: Question, rows: NDArray[np.float32], index: int, images: int) -> NDArray[np.int64]:
    """Which rows of all images' are those of one: a column tells it."""
    column = sum(ask.spec.values_of(part) for part in itertools.takewhile(lambda part: part != "batch", ask.spec.row))
    if rows.ndim != 2 or rows.shape[1] <= column:
        raise misshaped(ask, rows, f"[M, {ask.spec.row_values}]")
    numbers = np.rint(rows[:, column])
    if (numbers != rows[:, column]).any() or (numbers >= images).any():
        raise EngineError(
            f"expected the numbers of {images} images in column {column} of output {ask.names[0]!r}, found "
            f"{rows[:, column].max():.4g}; export again with the right --columns"
        )
    return np.flatnonzero(numbers == index)


def _floats(array: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    # Class ids and counts may be integers of any width, and a model with NMS inside may give no row at all.
    return array.astype(np.float32) if array.dtype.kind in "iu" or not array.size else floats(array, name)


def _select(found: Candidates, spec: Detect, settings: Settings) -> Candidates:
    """The candidates, best first, without duplicates unless the model removed them itself."""
    check_finite(found.boxes, "boxes, decoded")
    if not spec.nms or READERS[spec.format].finished:
        return found.take(np.argsort(-found.scores, kind="stable")[:MOST_CANDIDATES])
    if found.angles is None:
        kept = nms(found.boxes, found.scores, found.classes, settings.iou, spec.class_agnostic)
    else:
        from edge_runtime.vision.postprocess.oriented import oriented, probiou

        turned = oriented(found.boxes, found.angles)
        kept = nms(turned, found.scores, found.classes, settings.iou, spec.class_agnostic, probiou)
    return found.take(kept)
