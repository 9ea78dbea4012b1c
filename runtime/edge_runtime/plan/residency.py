"""Which blocks stay resident and how the others are loaded: the frontier of latency against memory.

The frontier is computed without knowing the limit. That costs no more than a search for one limit (the knapsack gives
all budgets at once), and it makes three things true by construction: a larger limit never gives a slower plan, the
smallest limit is that of the frontier's lean end, and a limit of exactly that succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.plan.costs import RELOADED, STREAMED, Assignments, FormCosts
from edge_runtime.plan.footprint import Rated, rate
from edge_runtime.plan.knapsack import Caps, knapsack

__all__ = ["Frontier", "frontier"]

_Bools = npt.NDArray[np.bool_]

# So few combinations are all looked at.
_FEW = 20_000
# Of local improvement: forms of blocks that are looked at in all, and candidates that are changed in one round.
_EFFORT = 200_000
_WIDTH = 24
# Of the pairs of streamed neighbours, and of reloaded ones: how many of them are to fit.
_SHARES = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.25, 0.25))


@dataclass(frozen=True)
class Frontier:
    """The candidates that no other one beats in both, from the least memory and slowest to the most and fastest."""

    candidates: Assignments
    rated: Rated


def frontier(costs: FormCosts, few: int = _FEW) -> Frontier:
    """Search; complete where there are at most `few` combinations, else a knapsack and rounds of improvement."""
    usable = costs.usable
    if len(costs.micros) * float(np.prod(usable.sum(axis=1, dtype=float))) <= few:
        choices = [np.arange(len(costs.micros)), *(np.flatnonzero(row) for row in usable)]
        rows = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, len(choices)).astype(np.int8)
        return _best(costs, Assignments(rows[:, 0], rows[:, 1:]))
    found = _best(costs, Assignments.join([knapsack(costs, caps) for caps in _caps(costs, usable)]))
    effort = _EFFORT
    for changes in (1, 2):
        seen: set[bytes] = set()
        while effort > 0 and (fresh := [i for i, key in enumerate(_keys(found.candidates)) if key not in seen]):
            # Evenly along the frontier, both ends included.
            chosen = np.array(fresh)[np.linspace(0, len(fresh) - 1, min(_WIDTH, len(fresh))).round().astype(np.intp)]
            changed = members = found.candidates.take(chosen)
            seen.update(_keys(members))
            for _ in range(changes):
                changed = _changed(changed, len(costs.micros), usable)
            effort -= changed.forms.size
            found = _best(costs, Assignments.join([found.candidates, changed]))
    return found


def _best(costs: FormCosts, candidates: Assignments) -> Frontier:
    """Rate all and keep the frontier."""
    rated = rate(costs, candidates)
    total = rated.total
    order = np.lexsort((rated.latency, total))
    fastest = np.minimum.accumulate(rated.latency[order])
    keep = order[(rated.latency[order] < np.concatenate([[np.inf], fastest[:-1]]))]
    return Frontier(
        candidates.take(keep),
        Rated(rated.latency[keep], rated.arena[keep], rated.work[keep], rated.held[keep], rated.moving[keep]),
    )


def _caps(costs: FormCosts, usable: _Bools) -> list[Caps]:
    """Return the limits within which the knapsack is solved.

    Streamed blocks take room in the arena for the largest pair of neighbours, reloaded ones beside it for theirs. The
    knapsack does not count that, so it is told what a pair may take: as much as it likes, of one kind, or less.
    """
    room = np.where(usable[:, STREAMED], costs.room, 0)
    beside = np.where(usable[:, RELOADED], costs.held[:, RELOADED], 0)
    making = np.where(usable[:, RELOADED], costs.making[:, RELOADED], 0)
    found = [Caps(_pair(room, a), _pair(beside, b) + int(np.quantile(making, b))) for a, b in _SHARES]
    return list(dict.fromkeys(found))


def _pair(sizes: npt.NDArray[np.int64], share: float) -> int:
    """Return a size that so large a share of all pairs of neighbours does not exceed; nothing for no share."""
    pairs = sizes[1:] + sizes[:-1] if len(sizes) > 1 else sizes
    return int(np.quantile(pairs, share, method="inverted_cdf")) if share else 0


def _changed(candidates: Assignments, micros: int, usable: _Bools) -> Assignments:
    """Return every candidate with one thing changed: the form of a block, or the micro-batch."""
    parts = []
    for k, f in zip(*np.nonzero(usable), strict=True):
        rows = candidates.take(candidates.forms[:, k] != f)
        forms = rows.forms.copy()
        forms[:, k] = f
        parts.append(Assignments(rows.micro, forms))
    parts += [Assignments(np.full_like(candidates.micro, m), candidates.forms) for m in range(micros)]
    return Assignments.join(parts)


def _keys(candidates: Assignments) -> list[bytes]:
    return [row.tobytes() for row in np.column_stack([candidates.micro, candidates.forms])]
