"""Rules held against what a bundle can give: what a rule names and the model does not know, and what the engine is to
return so that no rule looks for what was cut away before it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Raw, Segment
from edge_runtime.results import Prediction
from edge_runtime.station.rules.settings import Rule, Spot
from edge_runtime.station.rules.things import Picture, places_of
from edge_runtime.vision.class_names import anomaly_name

__all__ = ["Floor", "floor_of", "least_area", "misfits", "outside", "usual"]

_NUMBERED = re.compile(r"class_(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Floor:
    """What an engine is asked to return; None and False: what the bundle says.

    `confidence` and `min_area` cut predictions away; `everything`: all that is left, not the first so many.
    """

    confidence: float | None = None
    min_area: float | None = None
    everything: bool = False


def floor_of(rules: Mapping[str, Rule], facts: ModelFacts) -> Floor:
    """Return what the rules of a station must be given."""
    if not rules:
        return Floor()
    about_things = [rule for rule in rules.values() if rule.anomaly is None]
    sized = any(rule.width or rule.height or rule.area for rule in about_things)
    scores = [rule.score for rule in about_things if rule.score is not None]
    confidence = min([facts.thresholds.confidence, *scores])
    if isinstance(facts.postprocess, Anomaly) and scores:  # one for all of them, see `misfits`
        confidence = scores[0]
    return Floor(
        # All classes of a classifier are returned as it is, and its own threshold says what is undecided.
        None if isinstance(facts.postprocess, Classify) or confidence == facts.thresholds.confidence else confidence,
        0.0 if sized and least_area(facts) else None,
        True,
    )


def least_area(facts: ModelFacts) -> float:
    """Return what fraction of the picture a region has at least that the bundle reports."""
    return facts.postprocess.min_area if isinstance(facts.postprocess, (Segment, Anomaly)) else 0.0


def usual(facts: ModelFacts, predictions: Sequence[Prediction]) -> tuple[int, ...]:
    """Return the numbers of the predictions that the bundle itself reports, of all that the engine returned."""
    spec = facts.postprocess
    if isinstance(spec, Classify):
        return tuple(range(min(spec.top_k, len(predictions))))
    least = least_area(facts)
    found = [
        number
        for number, one in enumerate(predictions)
        if one.confidence >= facts.thresholds.confidence and (one.area is None or one.area >= least)
    ]
    return tuple(found[: spec.max_det if isinstance(spec, Detect) else 300])


def misfits(rules: Mapping[str, Rule], facts: ModelFacts) -> Iterator[tuple[str, str]]:
    """Yield what the bundle cannot do for a rule: the key ("" for the rules), and what is wrong with it."""
    if not rules:
        return
    spec = facts.postprocess
    if isinstance(spec, Raw) or facts.verdict.rule == "none":
        yield (
            "",
            "the bundle does not judge, and rules would judge by what was not confirmed; export it again with "
            "--ng-classes (classifiers: --ok-classes) and what its report.html asks for",
        )
        return
    for name, rule in rules.items():
        yield from ((f"{name}{key}", what) for key, what in _misfits(rule, facts))
    scores = {
        facts.thresholds.confidence if rule.score is None else rule.score
        for rule in rules.values()
        if rule.anomaly is None
    }
    if isinstance(spec, Anomaly) and len(scores) > 1:
        told = ", ".join(f"{score:g}" for score in sorted(scores))
        yield "", f"the regions of an anomaly map are cut at one score, found {told}; give all rules the same"


def _misfits(rule: Rule, facts: ModelFacts) -> Iterator[tuple[str, str]]:
    spec = facts.postprocess
    if rule.anomaly is not None:
        if not isinstance(spec, Anomaly):
            yield ".anomaly", "the bundle gives no anomaly score; name classes, or leave it out"
        return
    if isinstance(spec, Anomaly) and not spec.has_map:
        yield "", "the bundle gives an anomaly score and no regions; write anomaly: 0.5"
        return
    named = {".classes": rule.classes, ".distance.classes": rule.distance.classes if rule.distance else ()}
    for key, names in named.items():
        for unknown in (name for name in names if not _is_known(name, facts)):
            yield key, f"the bundle has no class {unknown!r}; it has {_listed(facts)}"
    if isinstance(spec, Classify):
        told = ("width", "height", "area", "zone", "distance", "places")
        for key in (key for key in told if getattr(rule, key)):
            yield f".{key}", "the bundle tells what is in a picture, and not where; leave it out"
    floor = _pixel_floor(facts)
    if rule.score is not None and rule.score < floor:
        yield ".score", f"a pixel belongs to a class of this bundle from {floor:g} on, so that nothing is below it"


def outside(rules: Mapping[str, Rule], width: int, height: int) -> Iterator[tuple[str, str]]:
    """Yield which places of rules do not lie in pictures of that size: the key, and what is wrong with it."""
    for name, rule in rules.items():
        spots: dict[str, Sequence[Spot]] = {f".places[{number}]": (one.at,) for number, one in enumerate(rule.places)}
        if rule.zone is not None:
            spots[".zone"] = rule.zone.polygon
        if rule.distance is not None:
            spots[".distance"] = rule.distance.line or ((rule.distance.point,) if rule.distance.point else ())
        for key, together in spots.items():
            found = places_of(together, Picture(width, height, 1.0, 1.0))
            beyond = [str(spot) for spot, (x, y) in zip(together, found, strict=True) if x > width or y > height]
            if beyond:
                yield f"{name}{key}", f"{beyond[0]} lies outside of the picture, which has {width}x{height} pixels"


def _pixel_floor(facts: ModelFacts) -> float:
    """The score that every pixel of a region has at least, whatever is asked; 0 where there is none."""
    spec = facts.postprocess
    if not isinstance(spec, Segment) or spec.indices:
        return 0.0
    shape = next((one.shape for one in facts.outputs if one.name == spec.output), facts.outputs[0].shape)
    single = len(shape) == 4 and shape[1 if spec.axis == "channels-first" else 3] == 1
    return spec.threshold if spec.multilabel or single else 0.0


def _known(facts: ModelFacts) -> tuple[str, ...]:
    """The names that the model reports; () where it has numbers alone."""
    spec, labels = facts.postprocess, facts.labels
    if isinstance(spec, Anomaly):
        return (anomaly_name(labels),)
    if isinstance(spec, Segment):
        names = ("background", *labels) if len(labels) == 1 else labels
        return tuple(name for number, name in enumerate(names) if number != spec.background)
    return labels


def _is_known(name: str, facts: ModelFacts) -> bool:
    known = _known(facts)
    return name in known if known else _NUMBERED.fullmatch(name) is not None


def _listed(facts: ModelFacts) -> str:
    known = _known(facts)
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return ", ".join(known[:10]) + more if known else "no labels: class_0, class_1, ..."
