"""Answers and bundles' facts for tests of rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Segment
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.results import Box, Prediction, Result
from edge_runtime.station.recipe.nodes import parse
from edge_runtime.station.recipe.shape import Reading
from edge_runtime.station.rules.apply import Ruled, apply
from edge_runtime.station.rules.settings import Rule
from edge_runtime.station.rules.things import Picture

__all__ = [
    "ANOMALY",
    "CLASSIFIER",
    "DETECTOR",
    "PICTURE",
    "SEGMENTER",
    "answer",
    "facts_of",
    "found",
    "ruled",
    "rules_of",
]

PICTURE = Picture(200, 100)


def facts_of(spec: Postprocess, labels: tuple[str, ...], rule: VerdictRule, confidence: float = 0.5) -> ModelFacts:
    """The facts of a bundle."""
    outputs = (TensorSpec("out", "float32", ("N", 3, 8, 8)),)
    thresholds = Thresholds(confidence)
    base = fake_manifest()
    return dataclasses.replace(
        base, postprocess=spec, labels=labels, verdict=rule, thresholds=thresholds, outputs=outputs
    )


DETECTOR = facts_of(Detect(), ("screw", "washer", "scratch"), VerdictRule("any", ("scratch",)))
CLASSIFIER = facts_of(Classify(top_k=1), ("good", "bad", "worse"), VerdictRule("class", ok_classes=("good",)))
SEGMENTER = facts_of(Segment(min_area=0.01), ("background", "rust", "dent"), VerdictRule("any"))
ANOMALY = facts_of(Anomaly(min_area=0.01), ("normal", "anomalous"), VerdictRule("score"))


def rules_of(text: str) -> Mapping[str, Rule]:
    """Rules as a recipe has them: `{name: {classes: ...}}`."""
    reading = Reading(Path(), {})
    mistakes: list[Any] = []
    node = parse(text, mistakes)
    assert node is not None, mistakes
    read = reading.read(Mapping[str, Rule], node, "")
    assert not reading.mistakes, reading.mistakes
    return dict(read)


def found(
    name: str, score: float, x: float, y: float, width: float = 10, height: float = 10, **more: Any
) -> Prediction:
    """A thing with its centre at x, y."""
    box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Prediction(name, 0, score, box, **more)


def answer(*predictions: Prediction, score: float | None = None, verdict: Any = "OK", reasons: Any = ()) -> Result:
    """An answer whose own verdict does not matter, unless it is NO_READ."""
    ranked = tuple(sorted(predictions, key=lambda one: -one.confidence))
    return Result(verdict, tuple(reasons), ranked, score=score)


def ruled(text: str, result: Result, facts: ModelFacts = DETECTOR, before: Mapping[str, int] | None = None) -> Ruled:
    """An answer through rules."""
    return apply(rules_of(text), facts, result, PICTURE, before or {})
