"""The thresholds that cost least, on pictures of which it is known what they show. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.station.thresholds.dials import LOWEST, Measured

__all__ = ["Costs", "Tally", "choose", "tally"]

_ROUNDS = 20


@dataclass(frozen=True)
class Costs:
    """What an escape (a defect that is OK) and an overkill (a good part that is NG) cost; `defects`: their share."""

    escape: float = 100.0
    overkill: float = 1.0
    defects: float = 0.01


@dataclass(frozen=True)
class Tally:
    """What became of good and of bad pictures. `unread`: those that were not judged, of both."""

    good: int
    bad: int
    overkills: int
    escapes: int
    unread: int

    def cost(self, costs: Costs) -> float:
        """Return what a part costs on the average."""
        escape = costs.defects * costs.escape * self.escapes / max(self.bad, 1)
        return escape + (1 - costs.defects) * costs.overkill * self.overkills / max(self.good, 1)


def tally(pictures: Sequence[Measured], bad: Sequence[bool], thresholds: Sequence[float] | None) -> Tally:
    """Count what becomes of pictures with these thresholds; None: those of now."""
    escapes = overkills = unread = 0
    for one, is_bad in zip(pictures, bad, strict=True):
        if thresholds is None:
            verdict = one.now
        else:
            ng = one.always or any(value >= least for value, least in zip(one.values, thresholds, strict=True))
            verdict = "NG" if ng else "NO_READ" if one.unread else "OK"
        escapes += is_bad and verdict not in ("NG", "NO_READ")
        overkills += not is_bad and verdict == "NG"
        unread += verdict == "NO_READ"
    return Tally(len(bad) - sum(bad), sum(bad), overkills, escapes, unread)


def choose(
    pictures: Sequence[Measured], bad: Sequence[bool], start: Sequence[float], costs: Costs
) -> tuple[float, ...]:
    """Return the thresholds that cost least: of one the best there is, of several each the best beside the others."""
    values = np.array([one.values for one in pictures], np.float64).reshape(len(bad), len(start))
    truth = np.array(bad, np.bool_)
    always = np.array([one.always for one in pictures], np.bool_)
    unread = np.array([one.unread for one in pictures], np.bool_)
    weights = np.where(
        truth,
        costs.defects * costs.escape / max(int(truth.sum()), 1) * ~unread,
        (1 - costs.defects) * costs.overkill / max(int((~truth).sum()), 1),
    )
    found = list(start)
    for _ in range(_ROUNDS):
        before = tuple(found)
        for number in range(len(found)):
            others = [other for other in range(len(found)) if other != number]
            reached = always | (values[:, others] >= np.array(found)[others]).any(axis=1)
            found[number] = _best(values[~reached, number], truth[~reached], weights[~reached])
        if tuple(found) == before:
            break
    return tuple(found)


def _best(values: NDArray[np.float64], bad: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """One threshold: the middle of the widest gap between two values where it costs least."""
    edges = np.unique(np.concatenate([values[values >= LOWEST], [LOWEST, 1.0]]))
    order = np.argsort(values)
    ranked = values[order]
    # What it costs that bad ones with a lower value pass, and good ones that reach it do not.
    passed = np.concatenate([[0.0], np.cumsum(np.where(bad, weights, 0.0)[order])])
    stopped = np.concatenate([[0.0], np.cumsum(np.where(bad, 0.0, weights)[order][::-1])])[::-1]
    # A threshold in (edges[i], edges[i + 1]] lets pass what is at most edges[i]; the first edge itself, what is below.
    below = np.concatenate([[np.searchsorted(ranked, edges[0], "left")], np.searchsorted(ranked, edges[:-1], "right")])
    costs = passed[below] + stopped[below]
    least = costs.min() + 1e-12  # sums of the same in another order
    lows = np.concatenate([[edges[0]], edges[:-1]])
    width = np.where(costs <= least, edges - lows, -1.0)
    best = int(np.argmax(width))
    return _between(float(lows[best]), float(edges[best]))


def _between(low: float, high: float) -> float:
    """A number above `low`, up to `high`, of few digits near their middle."""
    middle = (low + high) / 2
    for digits in range(2, 9):
        if low < (found := round(middle, digits)) <= high:
            return found
    return high
