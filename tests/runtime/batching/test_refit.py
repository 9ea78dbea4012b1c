from __future__ import annotations

import random

import pytest
from batching_cases import GPU
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.batching import BatchCosts, Drift, measured, refitted


def _after(drift: Drift, *runs: tuple[int, int, float], start: float = 0.0) -> Drift:
    """Runs are (batch, lanes, ratio of what was expected), 10 ms apart."""
    for number, (batch, lanes, ratio) in enumerate(runs):
        drift = measured(drift, batch, lanes, ratio * drift.costs.ms(batch, lanes), start + 10 * number)
    return drift


def test_without_drift_the_table_stays_the_very_same() -> None:
    drift = _after(Drift(BatchCosts(GPU)), *[(1, 1, 1.02)] * 20)
    assert refitted(drift, 200.0) is GPU


def test_a_slower_clock_is_followed_for_all_sizes() -> None:
    drift = _after(Drift(BatchCosts(GPU)), *[(4, 1, 1.5)] * 6)
    new = BatchCosts(refitted(drift, 60.0))
    assert new.ms(4, 1) == pytest.approx(13.5)
    assert new.ms(8, 1) == pytest.approx(19.5)
    assert new.ms(4, 2) == pytest.approx(25.5)


def test_a_step_is_followed_after_half_of_what_is_kept() -> None:
    before = _after(Drift(BatchCosts(GPU)), *[(1, 1, 1.0)] * 20)
    early = _after(before, *[(1, 1, 2.0)] * 4, start=200.0)
    assert refitted(early, 240.0) is GPU
    later = _after(early, (1, 1, 2.0), start=240.0)
    assert BatchCosts(refitted(later, 250.0)).ms(1) == 12.0


def test_hiccups_change_nothing() -> None:
    chance = random.Random(1)
    drift = Drift(BatchCosts(GPU))
    for number in range(100):
        drift = _after(drift, (1, 1, 10.0 if number % 5 == 0 else chance.gauss(1.0, 0.02)), start=10.0 * number)
        assert refitted(drift, 10.0 * number) is GPU


def test_what_was_measured_long_ago_is_forgotten() -> None:
    drift = _after(Drift(BatchCosts(GPU)), *[(1, 1, 2.0)] * 9)
    assert refitted(drift, 90.0) is not GPU
    assert refitted(drift, 100_000.0) is GPU


def test_a_size_between_measured_ones_gets_a_line_of_its_own() -> None:
    drift = _after(Drift(BatchCosts(GPU)), *[(2, 1, 2.0)] * 6, *[(1, 1, 1.0)] * 6, *[(4, 1, 1.0)] * 6)
    new = BatchCosts(refitted(drift, 200.0))
    assert (new.ms(1), new.ms(4)) == (6.0, 14.0)  # a batch of 4 is never cheaper than one of 2
    assert new.ms(2) == 14.0


def test_what_cannot_be_is_ignored() -> None:
    drift = Drift(BatchCosts(GPU))
    assert measured(drift, 99, 1, 5.0, 0.0) is drift
    assert measured(drift, 1, 1, 0.0, 0.0) is drift


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 3), st.floats(0.1, 10.0)), max_size=40))
def test_a_refitted_table_can_always_be_used(runs: list[tuple[int, int, float]]) -> None:
    costs = BatchCosts(refitted(_after(Drift(BatchCosts(GPU)), *runs), 10.0 * len(runs)))
    assert costs.largest >= 8
    assert costs.ms(8, 3) > 0
