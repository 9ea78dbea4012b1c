"""Sorts what waits: frames that a newer one replaced, work that can still be in time, and work that cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_runtime.batching.vocabulary import Drop, Priority, Request

__all__ = ["Triage", "by_urgency", "triage"]

_RANK: dict[Priority, int] = {"urgent": 0, "normal": 1, "background": 2}


@dataclass(frozen=True)
class Triage:
    """`ready` can still be in time, `late` cannot, each the most urgent first; `superseded` are not worth running."""

    superseded: tuple[Drop, ...]
    ready: tuple[Request, ...]
    late: tuple[Request, ...]


def by_urgency(request: Request) -> tuple[int, float, int]:
    """Order: the priority, then the earliest deadline, then the arrival."""
    return _RANK[request.priority], request.deadline_ms, request.number


def triage(waiting: Iterable[Request], soonest_ms: float) -> Triage:
    """Sort `waiting`; `soonest_ms` is when one request alone would be done if it began now.

    A live request is superseded by one of its source that arrived later (tiles of one frame arrive together).
    """
    waiting = tuple(waiting)
    newest: dict[str, float] = {}
    for request in waiting:
        if request.live:
            newest[request.source] = max(request.arrived_ms, newest.get(request.source, request.arrived_ms))
    kept, superseded = [], []
    for request in waiting:
        if request.live and request.arrived_ms < newest[request.source]:
            superseded.append(Drop(request, "superseded"))
        else:
            kept.append(request)
    kept.sort(key=by_urgency)
    ready = tuple(request for request in kept if request.deadline_ms >= soonest_ms)
    late = tuple(request for request in kept if request.deadline_ms < soonest_ms)
    return Triage(tuple(superseded), ready, late)
