"""The residency knapsack: for every budget at once, the forms that give the lowest latency.

Dynamic programming over the blocks. A state is the block that was loaded last and its form (the first state: none
yet), with the computing since then; what it has cost so far is known for every number of units of memory spent on what
stays. A block that stays resident moves that curve by its size; a block that is loaded closes a segment of the
pipeline (pipeline.py) and begins a state of its own, entered from whichever state is best at each budget.

It is exact but for two things, which the search that starts from here (residency.py) sees to: sizes are rounded to
units, and what neighbours that are loaded take for a while is not counted, only capped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.plan.costs import RELOADED, RESIDENT, STREAMED, Assignments, FormCosts

__all__ = ["Caps", "knapsack"]

_UNITS = 96
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Caps:
    """The most bytes that two blocks which are loaded one after the other may take: in the arena, and beside it."""

    arena: int
    beside: int


@dataclass(frozen=True)
class _State:
    """Block `block` was loaded last, in `form`, and takes so many bytes; `entered` is the state before it [m, q]."""

    block: int
    form: int
    room: int
    beside: int
    entered: npt.NDArray[np.intp]


def knapsack(costs: FormCosts, caps: Caps) -> Assignments:
    """Return the best candidates for each budget from nothing to everything; none if the caps allow none."""
    usable, blocks, micros = costs.usable, len(costs.room), len(costs.micros)
    units = _units(costs)
    width = int(units.max(axis=1).sum()) + 1
    states = [_State(-1, 0, 0, 0, np.zeros((micros, width), np.intp))]
    spent = np.full((micros, 1 + 2 * blocks, width), np.inf)  # milliseconds up to the start of the last loaded block
    spent[:, 0] = 0.0
    since = np.zeros((micros, 1 + 2 * blocks))  # milliseconds of computing from there on
    for k in range(blocks):
        count = len(states)
        old, computed = spent[:, :count], since[:, :count]
        for f in (STREAMED, RELOADED):
            room, beside = (int(costs.room[k]), 0) if f == STREAMED else (0, int(costs.held[k, f]))
            loading = beside + int(costs.making[k, f]) if f == RELOADED else 0
            fits = [
                state.room + room <= caps.arena and state.beside + loading <= caps.beside for state in states[:count]
            ]
            if not usable[k, f] or not any(fits):
                continue
            segment = np.maximum(costs.load[k, f], computed + costs.competition * costs.cpu[k, f])
            finished = old + np.where(fits, segment, np.inf)[:, :, None]
            best = finished.argmin(axis=1)
            paid = units[k, f]
            new = len(states)
            states.append(_State(k, f, room, beside, best))
            spent[:, new, paid:] = np.take_along_axis(finished, best[:, None], axis=1)[:, 0, : width - paid]
            since[:, new] = costs.compute[:, k, f]
        if usable[k, RESIDENT]:
            paid = units[k, RESIDENT]
            old[:, :, paid:] = old[:, :, : width - paid].copy()
            old[:, :, :paid] = np.inf
            computed += costs.compute[:, k, RESIDENT, None]
        else:
            old[:] = np.inf
    count = len(states)
    return _trace(spent[:, :count] + since[:, :count, None], states, units)


def _units(costs: FormCosts) -> _Ints:
    """Return [k, f]: the memory that stays, above that of the block's leanest form, in units; what is not free is 1."""
    stays = costs.held.copy()
    stays[:, RELOADED] = 0
    least = np.where(costs.usable, stays, stays.max()).min(axis=1)
    extra = np.where(costs.usable, stays - least[:, None], 0)
    unit = max(1.0, extra.max(axis=1).sum() / _UNITS)
    return np.where(extra > 0, np.maximum(1, np.rint(extra / unit)), 0).astype(np.int64)


def _trace(final: npt.NDArray[np.float64], states: list[_State], units: _Ints) -> Assignments:
    """Walk back from the best last state of each micro-batch and budget; budgets that buy nothing are left out."""
    value = final.min(axis=1)
    better = np.isfinite(value)
    better[:, 1:] &= value[:, 1:] < value[:, :-1]
    micro, budget = np.nonzero(better)
    at = final.argmin(axis=1)[better]
    block_of, form_of = np.array([state.block for state in states]), np.array([state.form for state in states])
    entered = np.stack([state.entered for state in states])
    forms = np.zeros((len(micro), len(units)), np.int8)
    for k in reversed(range(len(units))):
        loaded = block_of[at] == k
        forms[:, k] = np.where(loaded, form_of[at], RESIDENT)
        budget = budget - units[k, forms[:, k]]
        at = np.where(loaded, entered[at, micro, budget], at)
    return Assignments(micro.astype(np.int8), forms)
