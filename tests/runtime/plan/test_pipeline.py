"""The predicted latency: an example worked out by hand, and a second way to compute it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.plan.pipeline import latency

TIMES = st.floats(0, 100)
BLOCKS = st.lists(st.tuples(TIMES, TIMES, TIMES, st.booleans()), min_size=1, max_size=8)


def predict(blocks: list[tuple[float, float, float, bool]], competition: float) -> float:
    compute, read, cpu, loaded = (np.array(column)[:, None] for column in zip(*blocks, strict=True))
    return float(latency(compute, read + cpu, cpu, loaded.astype(bool), competition)[0])


def simulate(blocks: list[tuple[float, float, float, bool]], competition: float) -> float:
    """The length of the second of two runs, by the clocks of the two threads."""
    computing = loader_free = began = 0.0
    for _ in range(2):
        began = may_load = computing
        for compute, read, cpu, loaded in blocks:
            if loaded:
                loader_free = max(loader_free, may_load) + read + cpu
                computing = max(loader_free, computing + competition * cpu)
                may_load = computing
            computing += compute
    return computing - began


def test_a_load_is_hidden_by_the_computing_since_the_load_before_it() -> None:
    # compute, read, cpu, loaded; two cores, so a millisecond of cpu delays computing by half of one.
    blocks = [
        (10.0, 4.0, 2.0, True),  # begins at 6: nothing computes while it is loaded first
        (5.0, 0.0, 0.0, False),  # 16..21
        (8.0, 1.0, 6.0, True),  # ready at 6 + 7 = 13, but computing is done at 21 + 3 = 24
        (2.0, 20.0, 2.0, True),  # ready at 24 + 22 = 46, computing was done at 33
        (4.0, 0.0, 0.0, False),  # 48..52
    ]
    assert predict(blocks, 0.5) == pytest.approx(52.0)


def test_without_loads_a_run_is_its_computing() -> None:
    assert predict([(3.0, 9.0, 9.0, False), (4.0, 9.0, 9.0, False)], 0.5) == 7.0


def test_a_run_that_loads_much_takes_as_long_as_the_loads_and_the_last_block() -> None:
    assert predict([(1.0, 50.0, 0.0, True)] * 4, 0.0) == 4 * 50.0 + 1.0


@given(BLOCKS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_the_sum_of_segments_is_what_a_simulation_of_two_runs_says(
    blocks: list[tuple[float, float, float, bool]], competition: float
) -> None:
    assert predict(blocks, competition) == pytest.approx(simulate(blocks, competition), abs=1e-6)


@given(BLOCKS, st.floats(0, 1))
def test_a_run_is_never_shorter_than_its_computing_or_its_loads(
    blocks: list[tuple[float, float, float, bool]], competition: float
) -> None:
    computing = sum(block[0] for block in blocks)
    loading = sum(read + cpu for _, read, cpu, loaded in blocks if loaded)
    assert predict(blocks, competition) >= max(computing, loading) - 1e-9


@given(st.lists(BLOCKS.map(lambda blocks: [*blocks, *blocks][:2]), min_size=2, max_size=5))
def test_candidates_do_not_influence_each_other(many: list[list[tuple[float, float, float, bool]]]) -> None:
    stacked = [np.array(many)[:, :, column].T for column in range(4)]
    compute, read, cpu, loaded = stacked
    together = latency(compute, read + cpu, cpu, loaded.astype(bool), 0.5)
    assert together.tolist() == [predict(blocks, 0.5) for blocks in many]
