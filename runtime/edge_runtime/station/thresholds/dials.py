"""What can be turned at a station: each threshold, and from which value of it on a picture is NG. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.bundle.facts import ModelFacts, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify
from edge_runtime.errors import UsageError
from edge_runtime.results import Result
from edge_runtime.station.rules.against import Floor, floor_of
from edge_runtime.station.rules.apply import apply, counting
from edge_runtime.station.rules.settings import Rule
from edge_runtime.station.rules.things import Picture, thing_of
from edge_runtime.vision.postprocess.classify import is_exclusive
from edge_runtime.vision.verdict import judge

__all__ = ["LOWEST", "Dial", "Measured", "Panel", "panel_of"]

LOWEST = 0.05  # no threshold is proposed below it, and nothing below it is looked at


@dataclass(frozen=True)
class Dial:
    """A threshold: of which rule, and what it is now."""

    name: str
    rule: Rule
    now: float

    @property
    def key(self) -> str:
        """What it is called in a recipe."""
        return f"rules.{self.name}.{'score' if self.rule.anomaly is None else 'anomaly'}"

    def at(self, threshold: float) -> Rule:
        """Return the rule with another one."""
        if self.rule.anomaly is None:
            return dataclasses.replace(self.rule, score=threshold)
        return dataclasses.replace(self.rule, anomaly=threshold)


@dataclass(frozen=True)
class Measured:
    """A picture: it is NG where one of `values` (one for each dial) reaches its threshold, or `always`.

    `unread`: it is NO_READ where it is not NG. `now`: the verdict with the thresholds of now.
    """

    values: tuple[float, ...]
    always: bool
    unread: bool
    now: str


@dataclass(frozen=True)
class Panel:
    """The dials of a station, the rules that none turns, and what was left out, as sentences."""

    facts: ModelFacts
    rules: Mapping[str, Rule]
    dials: tuple[Dial, ...]
    fixed: Mapping[str, Rule]
    notes: tuple[str, ...]

    @property
    def floor(self) -> Floor:
        """What the engine is asked for, so that every threshold can be tried."""
        floor = floor_of(self.rules or {dial.name: dial.rule for dial in self.dials}, self.facts)
        if isinstance(self.facts.postprocess, (Anomaly, Classify)):
            return floor
        lowest = self.facts.thresholds.confidence if floor.confidence is None else floor.confidence
        return dataclasses.replace(floor, confidence=min(LOWEST, lowest))

    def measure(self, result: Result, picture: Picture, facts: ModelFacts) -> Measured:
        """Return what a picture's answer, of an engine with that floor, comes to; `facts` as they are of all of it."""
        things = [thing_of(number, found, picture) for number, found in enumerate(result.predictions)]
        values = []
        for dial in self.dials:
            if dial.rule.anomaly is not None:
                values.append(result.score or 0.0)
                continue
            counted = counting(dial.at(0.0), things, facts, picture)
            most = 0 if dial.rule.count is None else int(dial.rule.count.most)
            scores = sorted((thing.score for thing in counted), reverse=True)
            values.append(scores[most] if len(scores) > most else 0.0)
        always = bool(self.fixed) and apply(self.fixed, facts, result, picture, {}).verdict == "NG"
        return Measured(tuple(values), always, result.verdict == "NO_READ", self._now(result, picture, facts))

    def _now(self, result: Result, picture: Picture, facts: ModelFacts) -> str:
        if self.rules:
            return apply(self.rules, facts, result, picture, {}).verdict
        spec = self.facts.postprocess
        exclusive = isinstance(spec, Classify) and is_exclusive(spec)
        threshold = self.facts.thresholds.confidence
        return judge(self.facts.verdict, threshold, result.predictions, result.score, exclusive)[0]


def panel_of(rules: Mapping[str, Rule], facts: ModelFacts) -> Panel:
    """Return what can be turned. Raises UsageError where nothing can."""
    notes = []
    single = {name: rule for name, rule in rules.items() if rule.frames == 1}
    notes += [f"{name} counts frames in a row: left out" for name, rule in rules.items() if rule.frames > 1]
    ng = {name: rule for name, rule in single.items() if rule.verdict == "NG"}
    notes += [f"{name} is a WARN, which is neither: left out" for name in single if name not in ng]
    dials = {name: _dial(name, rule, facts) for name, rule in ng.items()}
    fixed = {name: ng[name] for name, dial in dials.items() if dial is None}
    notes += [f"{name} stays as it is: it asks for more than that nothing is there" for name in fixed]
    turned = tuple(dial for dial in dials.values() if dial is not None)
    if not rules:
        turned = (Dial("defects", _as_rule(facts), facts.thresholds.confidence),)
    if not turned:
        raise UsageError(f"no rule of this station has a threshold that could be chosen: {'; '.join(notes)}")
    return Panel(facts, ng if rules else {}, turned, fixed, tuple(notes))


def _dial(name: str, rule: Rule, facts: ModelFacts) -> Dial | None:
    """A rule's dial; None where a lower threshold is not always stricter."""
    if rule.anomaly is not None:
        return Dial(name, rule, rule.anomaly)
    wants = bool(rule.places) or (rule.count is not None and (rule.count.least > 0 or math.isinf(rule.count.most)))
    moves = rule.distance is not None and bool(rule.distance.classes)
    if wants or moves or isinstance(facts.postprocess, Anomaly):
        return None
    return Dial(name, rule, facts.thresholds.confidence if rule.score is None else rule.score)


def _as_rule(facts: ModelFacts) -> Rule:
    """The bundle's own verdict as a rule."""
    told: VerdictRule = facts.verdict
    if told.rule == "score":
        return Rule(anomaly=facts.thresholds.confidence)
    if told.rule == "any":
        return Rule(classes=told.classes)
    bad = tuple(name for name in facts.labels if name not in told.ok_classes)
    if told.rule == "none" or not bad:
        raise UsageError(
            "the bundle does not judge; export it again with --ng-classes (classifiers: --ok-classes), or give the "
            "station rules"
        )
    return Rule(classes=bad)
