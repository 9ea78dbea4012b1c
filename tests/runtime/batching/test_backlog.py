from __future__ import annotations

from batching_cases import FLAT, GPU
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.batching import BatchCosts
from edge_runtime.batching.aim import aim
from edge_runtime.batching.backlog import best_size, outlook

NEVER = float("inf")


def never(deadlines):
    """No request is replaced by a newer one."""
    return [NEVER] * len(deadlines)


def test_small_batches_answer_the_first_sooner_where_batching_gains_nothing() -> None:
    deadlines = [25.0, 45.0, 65.0, 85.0]
    assert outlook(BatchCosts(FLAT), deadlines, never(deadlines), 4, [0.0]).missed == 1
    assert best_size(BatchCosts(FLAT), deadlines, never(deadlines), 8, [0.0], 0.0).batch == 1


def test_a_large_batch_saves_a_queue_where_batching_gains() -> None:
    found = best_size(BatchCosts(GPU), [14.0] * 8, [NEVER] * 8, 8, [0.0], 0.0)
    assert (found.batch, found.missed) == (8, 0)


def test_one_that_is_nearly_late_does_not_cost_those_behind_it() -> None:
    # Alone it could be saved, in 6 ms; then the other eight would be late.
    found = best_size(BatchCosts(GPU), [7.0, *[14.0] * 8], [NEVER] * 9, 8, [0.0], 0.0)
    assert (found.batch, found.missed) == (8, 1)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 200), min_size=1, max_size=20), st.integers(1, 8), st.integers(1, 3))
def test_no_more_are_missed_than_there_are(deadlines: list[float], batch: int, lanes: int) -> None:
    found = outlook(BatchCosts(GPU), sorted(deadlines), never(deadlines), batch, [0.0] * lanes)
    assert 0 <= found.missed <= len(deadlines)
    assert best_size(BatchCosts(GPU), sorted(deadlines), never(deadlines), 8, [0.0] * lanes, 0.1).missed <= found.missed


def test_the_aim_is_the_smallest_latency_that_keeps_up() -> None:
    costs = BatchCosts(GPU)
    assert aim(costs, 0.05, 1, 8, 100.0).batch == 1
    busy = aim(costs, 0.4, 1, 8, 100.0)
    assert busy.batch == 4
    assert busy.keeps_up
    over = aim(costs, 2.0, 1, 8, 100.0)
    assert (over.batch, over.keeps_up, over.tight) == (8, False, True)


def test_the_aim_can_be_gathered_within_what_is_allowed() -> None:
    assert aim(BatchCosts(GPU), 0.4, 1, 8, 10.0).batch < 4


def test_a_burst_is_aimed_at_as_a_whole() -> None:
    assert aim(BatchCosts(GPU), 0.01, 1, 8, 100.0, together=8).batch == 8


def test_a_frame_that_is_replaced_before_it_can_begin_is_missed():
    costs = BatchCosts(FLAT)  # 10 ms for each image, whatever the batch
    deadlines, replaced = [100.0, 100.0], [0.0, 5.0]
    assert outlook(costs, deadlines, replaced, 1, [0.0]).missed == 1
    assert outlook(costs, deadlines, replaced, 2, [0.0]).missed == 0  # what has begun is safe
    assert best_size(costs, deadlines, replaced, 8, [0.0], 0.0).batch == 2
