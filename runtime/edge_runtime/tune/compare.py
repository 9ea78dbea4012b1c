"""Which of several settings is faster, from rounds in which they took turns.

Whatever slows the machine down for a while slows all of a round, so settings are compared by the ratios of their
figures within a round. Of these the median is reported, and the interval in which it lies with 95 % confidence: the one
between the k-th smallest and the k-th largest ratio, where k follows from the binomial distribution (the sign test
turned round; no assumption about the noise's shape).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from edge_runtime.tune.choice import Choice

__all__ = ["LEAST_ROUNDS", "MARGIN", "Ratio", "Scores", "beats", "pick", "ratio"]

# By round number: how fast a setting was in it (any unit, more is faster).
Scores = Mapping[int, float]

# A gain below this is not worth another setting.
MARGIN = 0.02
_CONFIDENCE = 0.95
# Fewer prove nothing.
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one setting is as another: the median, its interval, and the rounds both took part in."""

    middle: float
    low: float
    high: float
    rounds: int


def ratio(one: Scores, other: Scores) -> Ratio:
    """Compare two settings by the rounds that both have; without any, 1 within 0 and infinity."""
    ratios = sorted(one[number] / other[number] for number in one.keys() & other.keys())
    if not ratios:
        return Ratio(1.0, 0.0, math.inf, 0)
    skipped = _skipped(len(ratios))
    return Ratio(statistics.median(ratios), ratios[skipped], ratios[-1 - skipped], len(ratios))


def _skipped(count: int) -> int:
    """How many of the smallest (and of the largest) of `count` values lie outside the interval of their median.

    Below six values no interval has this confidence; the whole range is the best there is.
    """
    tail, skipped = 0.0, 0
    for k in range(count // 2):
        tail += math.comb(count, k) / 2**count
        if 2 * tail > 1 - _CONFIDENCE:
            break
        skipped = k  # the interval from the (k + 1)-th smallest value leaves k of them outside
    return skipped


def beats(one: Scores, other: Scores, margin: float = MARGIN) -> bool:
    """Tell whether `one` is faster than `other` by the margin, and that is not noise: three rounds at least."""
    found = ratio(one, other)
    return found.rounds >= LEAST_ROUNDS and found.middle > 1 + margin and found.low > 1


def pick(
    scores: Mapping[Choice, Scores], plainest_first: Sequence[Choice], default: Choice, safe: Collection[Choice] = ()
) -> Choice:
    """Return the plainest choice that is as good as the fastest, and not slower than the default.

    The default, and what is as `safe`, give way only to what beats them beyond noise; any other choice has to be within
    the margin of the fastest: noise must not make it look as good. `plainest_first` has every choice of `scores`, the
    default among them.
    """
    against_default = {choice: ratio(scores[choice], scores[default]).middle for choice in plainest_first}
    fastest = max(plainest_first, key=lambda choice: against_default[choice])
    for choice in plainest_first:
        if choice == default or choice in safe:
            good = not beats(scores[fastest], scores[choice])
        else:
            good = ratio(scores[fastest], scores[choice]).middle <= 1 + MARGIN
        if good and against_default[choice] >= 1:
            return choice
    return default
