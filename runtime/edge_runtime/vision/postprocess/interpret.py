"""A batch of output tensors becomes one Result per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Raw, Segment
from edge_runtime.results import Result
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.anomaly import anomaly
from edge_runtime.vision.postprocess.classify import classify
from edge_runtime.vision.postprocess.detect import detect
from edge_runtime.vision.postprocess.raw import raw
from edge_runtime.vision.postprocess.seen import Seen
from edge_runtime.vision.postprocess.segment import segment
from edge_runtime.vision.settings import Settings
from edge_runtime.vision.verdict import judge

__all__ = ["interpret"]


def interpret(
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Result]:
    """Read the outputs of one batch, each [N, ...], in the order of its N placements; timing_ms stays empty.

    Raises EngineError for outputs that do not fit the manifest or hold NaN or infinity.
    """
    results = []
    points = facts.postprocess.points if isinstance(facts.postprocess, Detect) else None
    for seen in _look(facts, outputs, placements, settings):
        verdict, reasons = judge(facts.verdict, settings.confidence, seen.judged, seen.score, seen.exclusive)
        results.append(
            Result(
                verdict=verdict,
                reasons=reasons,
                predictions=seen.predictions,
                score=seen.score,
                mask=seen.mask,
                tensors=seen.tensors,
                edges=points.edges if points else (),
            )
        )
    return results


def _look(
    facts: ModelFacts,
    outputs: Mapping[str, NDArray[np.generic]],
    placements: Sequence[Placement],
    settings: Settings,
) -> list[Seen]:
    spec = facts.postprocess
    if isinstance(spec, Raw):
        return raw(outputs, len(placements))
    return _READERS[type(spec)](spec, facts, outputs, placements, settings)


# Each kind of answer: a dataclass in bundle/postprocess_spec.py, its reader in a file of its own here, and one row.
_READERS: Mapping[type[Postprocess], Callable[..., list[Seen]]] = {
    Classify: classify,
    Detect: detect,
    Segment: segment,
    Anomaly: anomaly,
}
