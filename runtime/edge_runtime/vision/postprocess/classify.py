"""One score per class of the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Classify
from edge_runtime.errors import EngineError
from edge_runtime.results import Prediction
from edge_runtime.vision.class_names import class_name
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.seen import Seen
from edge_runtime.vision.postprocess.tensors import activate, check_scores, floats, output_name, split
from edge_runtime.vision.settings import Settings

__all__ = ["classify", "is_exclusive"]


def classify(
    spec: Classify,
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Seen]:
    """Report the `top_k` best classes, best first, whatever their confidence.

    The first `first_class` scores mean "nothing": they take part in the softmax and are not reported, and
    class 0 is the score after them.
    """
    name = output_name(facts, spec.output)
    scores = floats(split(outputs, name, len(placements)), name)
    if scores.size != len(placements) * max(scores.shape[1:], default=0) or (scores.ndim < 2 and not spec.binary):
        raise EngineError(
            f"expected one score per class in output {name!r}, found shape {list(scores.shape)}; "
            f"export again with the right --task"
        )
    scores = activate(scores.reshape(len(placements), -1), spec.activation, axis=1)
    if spec.binary:
        if scores.shape[1] != 1:
            raise EngineError(
                f"expected one score in output {name!r} for two classes, found {scores.shape[1]}; "
                f"export again with the right --family"
            )
        check_scores(scores, name, spec.activation)
        scores = np.concatenate([1 - scores, scores], axis=1)
    if spec.first_class >= scores.shape[1]:
        raise EngineError(
            f"expected more than first_class = {spec.first_class} scores in output {name!r}, found {scores.shape[1]}; "
            f"export again with the right --first-class"
        )
    check_scores(scores, name, spec.activation)
    return [_rank(row[spec.first_class :], spec, facts, settings) for row in scores]


def _rank(scores: NDArray[np.float32], spec: Classify, facts: ModelFacts, settings: Settings) -> Seen:
    order = np.argsort(-scores, kind="stable").tolist()
    wanted = [index for index in order if not settings.classes or index in settings.classes]
    above = int(np.count_nonzero(scores >= settings.confidence))
    reported, judged = (
        tuple(
            Prediction(class_name(facts.labels, index), index, min(max(float(scores[index]), 0.0), 1.0))
            for index in chosen
        )
        for chosen in (wanted if settings.everything else wanted[: spec.top_k], order[: max(above, 1)])
    )
    # Independent (sigmoid) scores may all be low: such an image merely has none of the properties.
    return Seen(predictions=reported, judged=judged, exclusive=is_exclusive(spec))


def is_exclusive(spec: Classify) -> bool:
    """Whether exactly one class is true of an image; else none, one or several are."""
    return spec.binary or not (spec.multilabel or spec.activation == "sigmoid")
