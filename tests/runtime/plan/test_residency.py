"""The frontier of latency against memory, beside all combinations where there are few enough to try."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from plan_cases import SPEEDS, make_chain

from edge_runtime.plan.costs import RELOADED, RESIDENT, STREAMED, Assignments, FormCosts, block_costs
from edge_runtime.plan.footprint import rate
from edge_runtime.plan.knapsack import Caps, knapsack
from edge_runtime.plan.layout import Buffer, Lifespan, lower_bound
from edge_runtime.plan.measurements import Limit, Measurements
from edge_runtime.plan.offsets import aligned, lifespans
from edge_runtime.plan.residency import Frontier, frontier


def costs_of(measurements: Measurements, batch: int = 4) -> FormCosts:
    return block_costs(measurements, SPEEDS, Limit(None, 0, batch), batch, frozenset())


def every_candidate(costs: FormCosts) -> Assignments:
    choices = [range(len(costs.micros)), *(np.flatnonzero(row).tolist() for row in costs.usable)]
    rows = np.array(list(itertools.product(*choices)), np.int8)
    return Assignments(rows[:, 0], rows[:, 1:])


def fastest_within(found: Frontier, memory: int) -> float:
    fits = found.rated.total <= memory
    return float(found.rated.latency[fits].min()) if fits.any() else np.inf


@pytest.mark.parametrize("seed", range(12))
def test_the_search_is_within_2_percent_of_the_best_of_all_combinations(seed: int) -> None:
    load_per_mb = (0.1, 0.4, 2.0)[seed % 3]
    _, measurements = make_chain(seed, 5 + seed % 4, load_per_mb=load_per_mb)
    costs = costs_of(measurements)
    best = rate(costs, every_candidate(costs))
    found = frontier(costs, few=0)
    assert found.rated.total[0] <= 1.05 * best.total.min()
    for memory in np.linspace(found.rated.total[0], best.total.max(), 12):
        exact = best.latency[best.total <= memory].min()
        assert fastest_within(found, memory) <= 1.02 * exact


@pytest.mark.parametrize("seed", range(4))
def test_few_combinations_are_all_looked_at(seed: int) -> None:
    _, measurements = make_chain(seed, 6)
    costs = costs_of(measurements)
    best = rate(costs, every_candidate(costs))
    found = frontier(costs)
    for memory in best.total.tolist():
        assert fastest_within(found, memory) == best.latency[best.total <= memory].min()


@pytest.mark.parametrize("few", [0, 20_000])
def test_every_step_of_the_frontier_takes_more_memory_and_less_time(few: int) -> None:
    _, measurements = make_chain(3, 7, forms=("resident", "streamed", "reloaded"))
    found = frontier(costs_of(measurements), few)
    assert (np.diff(found.rated.total) > 0).all()
    assert (np.diff(found.rated.latency) < 0).all()


def test_the_knapsack_keeps_the_blocks_whose_loading_cannot_hide() -> None:
    # All alike, and a load takes as long as two blocks compute: every third block is loaded, at no cost.
    _, measurements = make_chain(1, 9, batches=(1,), forms=("resident", "streamed"))
    costs = costs_of(measurements, 1)
    costs.compute[:, :, :2] = 5.0
    costs.load[:, STREAMED] = 15.0
    costs.cpu[:] = 0.0
    costs.held[:] = [10_000_000, 0, 0]
    rated = rate(costs, found := knapsack(costs, Caps(10**12, 0)))
    first = int(np.argmin(rated.latency + (found.forms[:, 0] != RESIDENT) * 1e9))
    third = np.flatnonzero((found.forms != RESIDENT).sum(axis=1) == 2)
    assert rated.latency[third].min() == 45.0
    assert rated.latency[first] == 45.0


def test_the_caps_of_the_knapsack_hold() -> None:
    _, measurements = make_chain(2, 10, forms=("resident", "streamed", "reloaded"))
    costs = costs_of(measurements)
    cap = int(1.5 * costs.room.max())
    found = knapsack(costs, Caps(cap, 0))
    assert len(found.micro) > 0
    assert not (found.forms == RELOADED).any()
    for forms in found.forms:
        streamed = [int(costs.room[k]) for k, form in enumerate(forms) if form == STREAMED]
        assert all(one + other <= cap for one, other in itertools.pairwise(streamed))


@pytest.mark.parametrize("seed", range(6))
def test_the_arena_is_rated_at_the_largest_sum_of_live_bytes(seed: int) -> None:
    _, measurements = make_chain(seed, 6)
    costs = costs_of(measurements)
    candidates = every_candidate(costs)
    rated = rate(costs, candidates)
    spans = lifespans(measurements, frozenset())
    values = [
        Buffer(value.name, spans[value.name], aligned(value.bytes_of(4)))
        for value in measurements.values
        if value.planned
    ]
    for row in range(0, len(candidates.micro), 1 + len(candidates.micro) // 20):
        buffers, lower = list(values), 0
        for k, form in enumerate(candidates.forms[row]):
            if form == STREAMED:
                buffers.append(Buffer(f"weights {k}", Lifespan(lower, k + 2), int(costs.room[k])))
            if form != RESIDENT:
                lower = k + 1
        assert rated.arena[row] == lower_bound(buffers)
