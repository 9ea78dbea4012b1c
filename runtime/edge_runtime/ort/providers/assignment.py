"""Where each block runs, from what prepare measured: by dynamic programming over the blocks, exact for these costs.

The cost of an assignment of providers to the blocks 0..n-1 (a chain, run in this order), in ms:

    the sum of each block's time on its provider, each measured as a session of its own,
    less `overhead_ms` of that provider for each block that is fused with the one before it,
    plus what it takes to carry the values across each boundary between two providers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Part", "ProviderCosts", "assign", "cost", "parts"]


@dataclass(frozen=True)
class ProviderCosts:
    """`block_ms[p][k]`: block k on provider p, None where it cannot run or answers wrongly.

    `overhead_ms[p]`: what a run of any session on p takes. `crossing_ms(k, p, q)`: carrying what lives between block
    k-1 on p and block k on another provider q.
    """

    block_ms: tuple[tuple[float | None, ...], ...]
    overhead_ms: tuple[float, ...]
    crossing_ms: Callable[[int, int, int], float]


@dataclass(frozen=True)
class Part:
    """Blocks `first`..`stop`-1 on one provider."""

    provider: int
    first: int
    stop: int


def assign(costs: ProviderCosts) -> tuple[int, ...] | None:
    """Return a provider for each block so that the cost is least; None where a block runs nowhere.

    Of assignments that cost the same, that of the first providers.
    """
    count = len(costs.block_ms[0])
    # For each provider: the least cost of the blocks so far if the last is there, and where those are.
    best: dict[int, tuple[float, tuple[int, ...]]] = {}
    for k in range(count):
        ways: dict[int, tuple[float, tuple[int, ...]]] = {}
        for p, times in enumerate(costs.block_ms):
            ms = times[k]
            if ms is None:
                continue
            before = (
                [(total + _step(costs, k, q, p), where) for q, (total, where) in best.items()] if k else [(0.0, ())]
            )
            if before:
                total, where = min(before)
                ways[p] = (total + ms, (*where, p))
        best = ways
    return min(best.values())[1] if best else None


def cost(costs: ProviderCosts, where: Sequence[int]) -> float | None:
    """Return what an assignment costs; None for one that puts a block where it cannot run."""
    total = 0.0
    for k, p in enumerate(where):
        ms = costs.block_ms[p][k]
        if ms is None:
            return None
        total += ms + (_step(costs, k, where[k - 1], p) if k else 0.0)
    return total


def parts(where: Sequence[int]) -> tuple[Part, ...]:
    """Return the runs of neighbouring blocks on one provider."""
    found, first = [], 0
    for provider, group in itertools.groupby(where):
        stop = first + len(list(group))
        found.append(Part(provider, first, stop))
        first = stop
    return tuple(found)


def _step(costs: ProviderCosts, k: int, before: int, here: int) -> float:
    return -costs.overhead_ms[here] if before == here else costs.crossing_ms(k, before, here)
