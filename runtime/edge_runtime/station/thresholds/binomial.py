"""Exact bounds of a rate of which `found` of `total` were seen (Clopper and Pearson, 1934, Biometrika 26, 404-413)."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["at_least", "at_most", "at_most_found", "more_to_prove"]

_ROUNDS = 200  # of a bisection: until two floats are neighbours
_MOST = 10**9


def at_most(found: int, total: int, confidence: float) -> float:
    """Return the rate that is not exceeded with this confidence: were it higher, so few would be rarer than 1 - it."""
    if total < 1 or found >= total:
        return 1.0
    return _where(lambda rate: at_most_found(found, total, rate) <= 1 - confidence)


def at_least(found: int, total: int, confidence: float) -> float:
    """Return the rate that is reached with this confidence: were it lower, so many would be rarer than 1 - it."""
    return 1.0 - at_most(total - found, total, confidence)


def more_to_prove(found: int, total: int, bar: float, confidence: float) -> int | None:
    """Return how many more must be looked at, none of them found, until the rate is at most `bar` with this confidence.

    0: it is proved. None: there is no such number.
    """
    if bar >= 1:
        return 0

    def proved(more: int) -> bool:
        return total + more > found and at_most_found(found, total + more, bar) <= 1 - confidence

    if proved(0):
        return 0
    if bar <= 0 or not proved(_MOST):
        return None
    low, high = 0, 1
    while not proved(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proved(middle) else (middle, high)
    return high


def at_most_found(found: int, total: int, rate: float) -> float:
    """Return how probable it is that at most `found` of `total` are, each with this rate (the binomial sum)."""
    return _beta(total - found, found + 1, 1.0 - rate)


def _where(is_right_of: Callable[[float], bool]) -> float:
    """The least rate of which something is true that is true of all higher ones."""
    low, high = 0.0, 1.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if is_right_of(middle) else (middle, high)
    return high


def _beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun, 26.5.8)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, the other side of it
        return 1.0 - _beta_fraction(b, a, 1.0 - x)
    return _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # Lentz, 1976, Applied Optics 15, 668: the fraction from the front, no part of it 0.
    tiny = 1e-300
    c, d = 1.0, 1.0 / _not(1.0 - (a + b) * x / (a + 1.0), tiny)
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for part in (even, odd):
            d = 1.0 / _not(1.0 + part * d, tiny)
            c = _not(1.0 + part / c, tiny)
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return min(math.exp(front) * value / a, 1.0)


def _not(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
