"""From the verdicts on a part's frames to the verdict on the part. Pure.

A part is never OK because a frame was missed: what was not all seen is NG where an NG was among it, and NO_READ else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_runtime.store.entries import PartVerdict

__all__ = ["INCOMPLETE", "Decision", "PartRule", "View", "decide"]

# How a part's frames come to one verdict.
PartRule = Literal["worst", "majority", "sharpest", "first_ng"]
INCOMPLETE = "not all frames of the part were looked at"
_WORST_FIRST: tuple[PartVerdict, ...] = ("NG", "NO_READ", "WARN", "OK")


@dataclass(frozen=True)
class View:
    """A judged frame of a part; `sharpness` is of the picture, larger is sharper (0 where there is none)."""

    verdict: PartVerdict
    reasons: tuple[str, ...] = ()
    sharpness: float = 0.0


@dataclass(frozen=True)
class Decision:
    """The verdict on a part, and which of its views stands for it."""

    verdict: PartVerdict
    reasons: tuple[str, ...]
    view: int


def decide(rule: PartRule, views: Sequence[View], complete: bool = True) -> Decision:
    """Decide about a part by one view at least.

    worst: NG before NO_READ before WARN before OK; first_ng is the same, and an NG need not be waited for.
    majority: what most views say that could be read; of as many the worse; NO_READ where most could not be read.
    sharpest: what the sharpest view says that could be read.
    """
    worst = min(range(len(views)), key=lambda number: _WORST_FIRST.index(views[number].verdict))
    if not complete:
        if views[worst].verdict == "NG":
            return _of(views, worst)
        return Decision("NO_READ", (INCOMPLETE, *views[worst].reasons), worst)
    read = [number for number, view in enumerate(views) if view.verdict != "NO_READ"]
    if not read or rule in ("worst", "first_ng"):
        return _of(views, worst)
    if rule == "sharpest":
        return _of(views, max(read, key=lambda number: views[number].sharpness))
    if 2 * len(read) < len(views):
        return _of(views, next(number for number, view in enumerate(views) if view.verdict == "NO_READ"))
    counts = Counter(views[number].verdict for number in read)
    most = max(counts, key=lambda verdict: (counts[verdict], -_WORST_FIRST.index(verdict)))
    return _of(views, max((n for n in read if views[n].verdict == most), key=lambda number: views[number].sharpness))


def _of(views: Sequence[View], number: int) -> Decision:
    return Decision(views[number].verdict, views[number].reasons, number)
