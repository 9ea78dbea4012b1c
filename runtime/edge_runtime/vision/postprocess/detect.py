"""Objects with boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import MOST_CANDIDATES, nms, to_original
from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped, named
from edge_runtime.vision.postprocess.images import by_image, rows_by_image, together
from edge_runtime.vision.postprocess.readers.table import READERS
from edge_runtime.vision.postprocess.seen import Seen, reported
from edge_runtime.vision.postprocess.tensors import check_finite
from edge_runtime.vision.settings import Settings

__all__ = ["candidates", "detect", "load_reader"]


def load_reader(spec: Detect) -> None:
    """Load what this detector is read with now, not with the first frame: it takes as long as several frames."""
    READERS[spec.format].load()
    if not _is_plain(spec):
        import edge_runtime.vision.postprocess.objects  # noqa: F401


def _is_plain(spec: Detect) -> bool:
    return spec.angle == "none" and spec.points is None and spec.masks is None


def detect(
    spec: Detect,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Seen]:
    """Report objects, best first, their boxes in pixels of the original image."""
    asked = _questions(spec, facts, placements, settings.confidence)
    plain = _is_plain(spec)
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
    first, count = asked[0], len(asked)
    read = READERS[first.spec.format].load()
    mine = rows_by_image(first, outputs, count, max(count, facts.batch or 0))
    if mine is None:
        return [read(ask, part) for ask, part in zip(asked, by_image(first, outputs, count), strict=True)]
    beside = range(len(first.names) if "batch" in first.spec.columns else 1)  # counts are read
    rows = [together(first, outputs, place) for place in beside]
    if any(len(part) != len(rows[0]) for part in rows):
        raise misshaped(first, rows[-1], f"{len(rows[0])} rows", output=len(rows) - 1)
    found = [read(ask, [part[own] for part in rows]) for ask, own in zip(asked, mine, strict=True)]
    return [
        part if part.rows is None else dataclasses.replace(part, rows=own[part.rows])
        for part, own in zip(found, mine, strict=True)
    ]


def _select(found: Candidates, spec: Detect, settings: Settings) -> Candidates:
    """The candidates, best first, without duplicates unless the model removed them itself."""
    check_finite(found.boxes, "boxes, decoded")
    if not spec.nms or READERS[spec.format].finished:
        return found.take(np.argsort(-found.scores, kind="stable")[:MOST_CANDIDATES])
    if found.angles is None:
        kept = nms(found.boxes, found.scores, found.classes, settings.iou, spec.class_agnostic)
    else:
        from edge_runtime.vision.postprocess.oriented import nms_oriented, oriented

        turned = oriented(found.boxes, found.angles)
        kept = nms_oriented(turned, found.scores, found.classes, settings.iou, spec.class_agnostic)
    return found.take(kept)
