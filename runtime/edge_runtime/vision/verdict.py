"""From what was seen to a verdict: OK, NG, or NO_READ where nothing was judged."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from edge_runtime.bundle.facts import Verdict, VerdictRule
from edge_runtime.errors import BundleError
from edge_runtime.results import Prediction

__all__ = ["check_rule", "judge"]

_NO_RULE = (
    "no verdict rule: this model does not judge; export it with --ng-classes (classifiers: --ok-classes) "
    "and what its report.html asks for"
)

_NUMBERED = re.compile(r"class_(0|[1-9][0-9]{0,5})")


def judge(
    rule: VerdictRule,
    threshold: float,
    predictions: Sequence[Prediction] | None,
    score: float | None = None,
    exclusive: bool = False,
) -> tuple[Verdict, tuple[str, ...]]:
    """Judge one image by `rule`, counting what reaches `threshold` (0..1); the reasons of OK are ().

    Never OK for what was not judged. `predictions` are best first; None means that the task yields none (raw
    tensors). `exclusive` ones are classes of which one must be true, so that a best one below the threshold
    decides nothing.
    """
    if rule.rule == "none":
        return "NO_READ", (_NO_RULE,)
    if rule.rule == "score":
        return _by_score(threshold, score)
    if predictions is None:
        return "NO_READ", (f"verdict rule {rule.rule!r} needs predictions: this model gives raw tensors",)
    if rule.rule == "class" or exclusive:
        undecided = _undecided(threshold, predictions)
        if undecided:
            return "NO_READ", (undecided,)
    if rule.rule == "class":
        # Of classes that may be true together each counts, not the best alone.
        told = predictions[:1] if exclusive else [one for one in predictions if one.confidence >= threshold]
        bad = tuple(one.name for one in told if one.name not in rule.ok_classes)
        return ("NG", bad) if bad else ("OK", ())
    counts = Counter(
        prediction.name
        for prediction in predictions
        if prediction.confidence >= threshold and (not rule.classes or prediction.name in rule.classes)
    )
    if not counts:
        return "OK", ()
    # The most severe first: the most frequent, then by name so that equal frames read equal.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "NG", tuple(f"{name} x{count}" for name, count in ranked)


def check_rule(rule: VerdictRule, labels: Sequence[str]) -> None:
    """Raise BundleError if the rule names a class that the model never reports: every frame would be OK.

    Without labels the classes are called class_0, class_1, ...
    """
    named = (*rule.classes, *rule.ok_classes)
    unknown = [name for name in named if (name not in labels if labels else not _NUMBERED.fullmatch(name))]
    if unknown:
        known = (
            f"one of the labels {', '.join(labels[:10])}" if labels else "class_0, class_1, ...: there are no labels"
        )
        raise BundleError(
            f"the verdict rule {rule.rule!r} names the class {unknown[0]!r}, expected {known}; "
            "export the model again with the right name"
        )


def _by_score(threshold: float, score: float | None) -> tuple[Verdict, tuple[str, ...]]:
    if score is None:
        return "NO_READ", ("verdict rule 'score' needs an anomaly score: this model gives none",)
    if not math.isfinite(score):
        return "NO_READ", (f"the anomaly score is {score}: the image was not judged",)
    if score >= threshold:
        return "NG", (f"anomaly score {score:.2f} >= {threshold:.2f}",)
    return "OK", ()


def _undecided(threshold: float, predictions: Sequence[Prediction]) -> str:
    """Why the best class does not count, or ""."""
    if not predictions:
        return "undecided: no class was predicted"
    best = predictions[0]
    if best.confidence < threshold:
        return f"undecided: best class {best.name} {best.confidence:.2f} < {threshold:.2f}"
    return ""
