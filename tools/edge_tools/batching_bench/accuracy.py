"""How good is the forecast? Asked after each arrival whether the next one, of any source, comes within a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge_runtime.batching.forecast import ArrivalForecaster
from edge_runtime.batching.vocabulary import Request

__all__ = ["Accuracy", "accuracy"]

_WINDOWS = (0.3, 0.7, 1.5, 3.0)  # times the mean gap: how long one might hold a batch
_MEAN = 0.1


@dataclass(frozen=True)
class Accuracy:
    """The part of right answers, 0..1: the forecast's, and that of a threshold on the mean gap lately ("it comes within
    the window if the mean gap is shorter")."""

    forecast: float
    threshold: float


def accuracy(requests: Sequence[Request]) -> Accuracy:
    """Play the arrivals; the first twentieth is not counted."""
    forecaster = ArrivalForecaster()
    mean = (requests[-1].arrived_ms - requests[0].arrived_ms) / (len(requests) - 1)
    lately, right, simple, asked = mean, 0, 0, 0
    for number, (request, following) in enumerate(pairwise(requests)):
        now = request.arrived_ms
        forecaster.observe(request)
        if number:
            lately += _MEAN * (now - requests[number - 1].arrived_ms - lately)
        known = forecaster.forecasts(now).values()
        nearest = min((max(found.next_ms, now) for found in known), default=float("inf"))
        if number < len(requests) // 20:
            continue
        for part in _WINDOWS:
            window = part * mean
            comes = following.arrived_ms - now <= window
            right += (nearest - now <= window) == comes
            simple += (lately <= window) == comes
            asked += 1
    return Accuracy(right / asked, simple / asked)
