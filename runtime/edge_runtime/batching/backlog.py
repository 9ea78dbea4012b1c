"""How large should the next batch of a queue be? Each size is tried on paper until the queue is empty.

Nothing but what waits is looked at. A batch leaves out who could not be in time with it (as Nexus does, SOSP 2019,
4.2: saving one that is nearly late with a small batch costs those behind it), and leaving out is what counts first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.batching.costs import BatchCosts

__all__ = ["Outlook", "best_size", "outlook"]

_LOOK = 48  # requests ahead


@dataclass(frozen=True)
class Outlook:
    """With batches of `batch`, `missed` are not in time, those that are end at `mean_ms` in the mean."""

    batch: int
    missed: int
    mean_ms: float


def outlook(
    costs: BatchCosts,
    deadlines: Sequence[float],
    begins: Sequence[float],
    batch: int,
    lanes: Sequence[float],
    margin: float = 1.0,
) -> Outlook:
    """Return what becomes of requests with these deadlines (ascending) when lanes get free at the times `lanes`.

    `begins`: when each has to have begun, because something newer takes its place then.
    """
    free = sorted(lanes)
    used = len(free)
    missed, answered, total, finish = 0, 0, 0.0, free[0]
    at = 0
    while at < len(deadlines):
        rest = min(batch, len(deadlines) - at)
        end = free[0] + margin * costs.ms(rest, used)
        while at < len(deadlines) and (deadlines[at] < end or begins[at] < free[0]):
            missed += 1
            at += 1
        rest = min(rest, len(deadlines) - at)
        if rest == 0:
            break
        end = free[0] + margin * costs.ms(rest, used)
        at += rest
        answered += rest
        total += rest * end
        finish = max(finish, end)
        free[0] = end
        free.sort()
    return Outlook(batch, missed, total / answered if answered else finish)


def best_size(
    costs: BatchCosts,
    deadlines: Sequence[float],
    begins: Sequence[float],
    most: int,
    lanes: Sequence[float],
    rate: float,
    margin: float = 1.0,
) -> Outlook:
    """Return the size with the fewest missed: of those the one with the earliest mean answer if it keeps up with `rate`
    requests per ms, else the one that serves most."""
    seen = deadlines[:_LOOK]
    found = [outlook(costs, seen, begins, batch, lanes, margin) for batch in range(1, min(most, len(seen)) + 1)]
    fewest = min(look.missed for look in found)
    found = [look for look in found if look.missed == fewest]
    enough = [look for look in found if costs.rate(look.batch, len(lanes)) >= rate]
    if enough:
        return min(enough, key=lambda look: (look.mean_ms, look.batch))
    return max(found, key=lambda look: (costs.rate(look.batch, len(lanes)), -look.mean_ms))
