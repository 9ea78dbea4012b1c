"""What candidates cost: latency and memory, for thousands at a time.

One row of numbers per block and all candidates at once, because the search looks at many thousands of them and a
start must not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.plan.costs import RELOADED, RESIDENT, STREAMED, Assignments, FormCosts
from edge_runtime.plan.pipeline import latency

__all__ = ["Rated", "rate"]

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rated:
    """Each candidate's latency in milliseconds, infinite if it cannot run, and its memory in bytes, see plan.Plan.

    `arena` is the most that is alive at one time: no layout of the arena is smaller. `total` is their sum.
    """

    latency: npt.NDArray[np.float64]
    arena: _Ints
    work: _Ints
    held: _Ints
    moving: _Ints

    @property
    def total(self) -> _Ints:
        return self.arena + self.work + self.held + self.moving


# At one time: the arrays of more would be the largest thing in a process that plans for a small limit.
_AT_ONCE = 1024


def rate(costs: FormCosts, candidates: Assignments) -> Rated:
    """Compute latency and memory of all candidates."""
    count = len(candidates.micro)
    if count <= _AT_ONCE:
        return _rate(costs, candidates)
    parts = [
        _rate(costs, candidates.take(np.arange(at, min(at + _AT_ONCE, count)))) for at in range(0, count, _AT_ONCE)
    ]
    return Rated(
        *(
            np.concatenate([getattr(part, field) for part in parts])
            for field in ("latency", "arena", "work", "held", "moving")
        )
    )


def _rate(costs: FormCosts, candidates: Assignments) -> Rated:
    forms = np.ascontiguousarray(candidates.forms.T.astype(np.intp))  # [k, C]
    micro = candidates.micro.astype(np.intp)
    count = len(micro)
    compute, load, cpu = (np.empty(forms.shape) for _ in range(3))
    zeros = np.zeros(count, np.int64)
    held, making, moving, arena = zeros, zeros, zeros, np.full(count, costs.values.max())
    # From the last block to the first: what the loader makes ready while block k computes is what is loaded next.
    next_room, next_held, next_making = zeros, zeros, zeros
    hole = zeros  # in onnxruntime's arena, where reloaded weights were and the next do not fit
    for k in reversed(range(len(forms))):
        f = forms[k]
        compute[k] = costs.compute[micro, k, f]
        load[k], cpu[k] = costs.load[k, f], costs.cpu[k, f]
        stays = np.where(f == RELOADED, 0, costs.held[k, f])
        held = held + stays
        making = np.maximum(making, np.where(f == RELOADED, 0, costs.making[k, f]))
        room = np.where(f == STREAMED, costs.room[k], 0)
        reloaded = costs.held[k, f] - stays
        arena = np.maximum(arena, costs.values[k + 1] + room + next_room)
        if costs.packs[k]:
            hole = np.maximum(hole, reloaded)
        moving = np.maximum(moving, reloaded + next_held + next_making)
        loaded = f != RESIDENT
        next_room = np.where(loaded, room, next_room)
        next_held = np.where(loaded, reloaded, next_held)
        next_making = np.where(loaded, np.where(f == RELOADED, costs.making[k, f], 0), next_making)
    arena = np.maximum(arena, costs.values[0] + next_room)
    work = costs.work[micro]
    # Sessions that stay are made while nothing of the arenas was written to yet.
    at_start = making - arena - work
    return Rated(
        latency=latency(compute, load, cpu, forms != RESIDENT, costs.competition),
        arena=arena,
        work=work,
        held=held,
        moving=np.maximum(np.maximum(moving, next_held + next_making) + hole, at_start),
    )
