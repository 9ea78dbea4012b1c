"""Which batch, on how many lanes, keeps up with what arrives: the smallest latency of those that do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.vocabulary import Forecast

__all__ = ["Aim", "aim", "arriving"]

# What keeps up has this much to spare: with less, a queue once built hardly ever empties.
_SPARE = 1.08
_AMPLE = 1.5
_SAME = 1.002  # rates this near to each other are one rate


@dataclass(frozen=True)
class Aim:
    """Batches of `batch` on `lanes` lanes serve `serves` images per ms of `arriving`; `keeps_up`: with some to spare.

    `tight`: even the setting that serves most serves not half as much again as arrives.
    """

    batch: int
    lanes: int
    serves: float
    arriving: float
    keeps_up: bool
    tight: bool = False


def arriving(forecasts: Iterable[Forecast]) -> float:
    """Return the images per ms that all sources together bring."""
    return sum(forecast.count / forecast.period_ms for forecast in forecasts if forecast.period_ms > 0)


def aim(costs: BatchCosts, rate: float, lanes: int, most: int, allowed_ms: float, together: int = 1) -> Aim:
    """Return what to work towards when `rate` images per ms arrive, each to be answered within `allowed_ms`.

    `together` of them come at once. Gathering `batch` takes (batch - together) / rate, computing ms(batch, lanes) for
    each batch that a lane needs for those that came together: of the settings that serve the rate with 8 % to spare,
    and whose two times fit what is allowed, the one with the smallest sum; where none does, of those that just serve
    it; where none does that either, the one that serves most, the smallest of those within 0.2 %.
    """
    settings: list[tuple[float, Aim]] = []
    for used in range(1, lanes + 1):
        for batch in range(1, max(most, 1) + 1):
            ms = costs.ms(batch, used)
            more = max(batch - together, 0)
            gather = more / rate if rate > 0 else math.inf if more else 0.0
            taken = gather + ms * math.ceil(together / (batch * used))
            settings.append((taken, Aim(batch, used, batch * used / ms, rate, batch * used / ms >= _SPARE * rate)))
    fit = [(taken, found) for taken, found in settings if taken <= allowed_ms] or [settings[0]]
    best = max(found.serves for _, found in fit)
    fit = [(taken, replace(found, tight=best < _AMPLE * rate)) for taken, found in fit]
    enough = [(taken, found) for taken, found in fit if found.keeps_up]
    enough = enough or [(taken, found) for taken, found in fit if found.serves >= rate]
    if enough:
        return min(enough, key=lambda pair: (pair[0], pair[1].lanes))[1]
    return min(((taken, found) for taken, found in fit if found.serves * _SAME >= best), key=lambda pair: pair[0])[1]
