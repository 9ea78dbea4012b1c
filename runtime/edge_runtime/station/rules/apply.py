"""A frame's answer through the rules of its station: pure, so that a replay comes to the same.

What a rule remembers of the frames before, how often in a row it was broken, is handed in and handed out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.results import Result
from edge_runtime.station.rules.against import least_area, usual
from edge_runtime.station.rules.geometry import assigned, gap
from edge_runtime.station.rules.settings import Rule
from edge_runtime.station.rules.things import Picture, Thing, counted, places_of, thing_of
from edge_runtime.store.entries import PartVerdict

__all__ = ["Ruled", "apply", "counting"]

_WORST_FIRST: tuple[PartVerdict, ...] = ("NG", "NO_READ", "WARN", "OK")
Streaks = Mapping[str, int]


@dataclass(frozen=True)
class Ruled:
    """The verdict on a frame, with what says so; `shown` are the numbers of the predictions that a record has.

    `streaks`: in how many frames in a row each rule that counts them was broken, this one included.
    """

    verdict: PartVerdict
    reasons: tuple[str, ...]
    shown: tuple[int, ...]
    streaks: Streaks = field(default_factory=dict)


def apply(rules: Mapping[str, Rule], facts: ModelFacts, result: Result, picture: Picture, before: Streaks) -> Ruled:
    """Judge a frame that was looked at. Without rules the model's own verdict counts.

    `result` holds all that `against.floor_of` asks the engine for. A frame that was not judged is not OK by any rule:
    it stays NO_READ, or is NG where what was seen of it says so.
    """
    if not rules:
        return Ruled(result.verdict, result.reasons, tuple(range(len(result.predictions))))
    things = [thing_of(number, found, picture) for number, found in enumerate(result.predictions)]
    # The model's own doubts: that of a class is by the bundle's threshold, which is never lowered for a classifier.
    doubts = result.reasons if result.verdict == "NO_READ" else ()
    told: list[tuple[PartVerdict, str]] = [("NO_READ", why) for why in doubts]
    shown = set(usual(facts, result.predictions))
    streaks: dict[str, int] = {}
    for name, rule in rules.items():
        chosen = counting(rule, things, facts, picture)
        shown.update(thing.number for thing in chosen)
        why = _broken(rule, chosen, result, picture)
        if rule.frames > 1:
            streaks[name] = before.get(name, 0) + 1 if why else 0
            if why and streaks[name] < rule.frames:
                continue
            why += f", in {streaks[name]} frames" if why else ""
        if why:
            told.append((rule.verdict, f"{name}: {why}"))
    told.sort(key=lambda one: _WORST_FIRST.index(one[0]))
    verdict = told[0][0] if told else "OK"
    return Ruled(verdict, tuple(why for _, why in told), tuple(sorted(shown)), streaks)


def counting(rule: Rule, things: Sequence[Thing], facts: ModelFacts, picture: Picture) -> list[Thing]:
    """Return the things that count for a rule; where it says nothing of sizes, of those that the bundle reports."""
    least = 0.0 if rule.width or rule.height or rule.area else least_area(facts)
    large = [thing for thing in things if thing.area >= least * picture.width * picture.height] if least else things
    return counted(rule, facts.thresholds.confidence, large, picture)


def _broken(rule: Rule, chosen: Sequence[Thing], result: Result, picture: Picture) -> str:
    """Why a rule is broken, or ""."""
    if rule.anomaly is not None:
        if result.score is None or result.score < rule.anomaly:
            return ""
        return f"anomaly score {result.score:.2f} >= {rule.anomaly:.2f}"
    why = [_missing(rule, chosen, picture)] if rule.places else []
    if rule.count is not None or not rule.places:
        why.append(_miscounted(rule, chosen))
    return "; ".join(filter(None, why))


def _missing(rule: Rule, chosen: Sequence[Thing], picture: Picture) -> str:
    wanted = []
    for place in rule.places:
        at, within = places_of([place.at], picture)[0], place.within.pixels(picture.width)
        far = sorted((gap([thing.centre], [at]), number) for number, thing in enumerate(chosen) if thing.corners)
        wanted.append([number for distance, number in far if distance <= within])
    found = assigned(wanted)
    missing = [str(place.at) for place, thing in zip(rule.places, found, strict=True) if thing is None]
    return f"{_names(rule)} missing at {', '.join(missing)}" if missing else ""


def _miscounted(rule: Rule, chosen: Sequence[Thing]) -> str:
    least, most = (0, 0) if rule.count is None else (rule.count.least, rule.count.most)
    if least <= len(chosen) <= most:
        return ""
    counts = Counter(thing.name for thing in chosen)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    seen = ", ".join(f"{name} x{count}" for name, count in ranked) or f"no {_names(rule)}"
    return seen if rule.count is None else f"{seen}, expected {rule.count}"


def _names(rule: Rule) -> str:
    return " or ".join(rule.classes) or "thing"
