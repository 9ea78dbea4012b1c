"""What is given up when there is too much: frames of sources in the background, one of a few always excepted."""

from __future__ import annotations

import pytest

from edge_runtime.batching.vocabulary import BatchCost, CostTable, Priority
from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.serving.degrading import Degrading, ladder_of
from edge_runtime.inspect.serving.refitting import Refitting
from edge_runtime.inspect.sources import FakeSource


def feed(name: str, priority: Priority = "normal", live: bool = True) -> Feed:
    return Feed(FakeSource([], name, "live" if live else "video"), name, priority=priority)


FRONT, BACK = feed("front"), feed("back", "background")


def pass_seconds(degrading: Degrading, begin: int, end: int, missed: bool) -> None:
    """A second after another in which the lane works half of the time and frames are answered in time or not."""
    for second in range(begin, end):
        for _ in range(20):
            degrading.answered(FRONT, missed)
        degrading.observe(1000.0 * second, 1, 0.0)
        degrading.observe(1000.0 * second + 500.0, 0, 0.0)


def test_only_live_sources_in_the_background_can_be_given_up() -> None:
    assert ladder_of([]).steps == ()
    assert ladder_of([FRONT, feed("file", "background", live=False)]).steps == ()
    (step,) = ladder_of([FRONT, BACK]).steps
    assert step.priority == "background"
    assert step.relief == pytest.approx(0.6)


def test_under_strain_one_of_five_background_frames_is_looked_at_and_says_so() -> None:
    degrading = Degrading(ladder_of([FRONT, BACK]), lanes=1)
    assert degrading.of(BACK) == (True, ())
    pass_seconds(degrading, 0, 6, missed=True)
    assert degrading.thinned
    assert len(degrading.said) == 1
    assert "late or missing" in degrading.said[0]
    assert [degrading.of(BACK)[0] for _ in range(10)] == [True, False, False, False, False] * 2
    assert degrading.of(BACK)[1] == ("1 of 5 frames",)
    assert degrading.of(FRONT) == (True, ())


def test_after_calm_everything_is_looked_at_again() -> None:
    degrading = Degrading(ladder_of([FRONT, BACK]), lanes=1)
    pass_seconds(degrading, 0, 6, missed=True)
    pass_seconds(degrading, 6, 30, missed=False)
    assert not degrading.thinned
    assert degrading.of(BACK) == (True, ())


def test_what_the_background_misses_is_no_strain() -> None:
    degrading = Degrading(ladder_of([FRONT, BACK]), lanes=1)
    for second in range(20):
        degrading.answered(BACK, missed=True)
        degrading.observe(1000.0 * second, 0, 0.0)
    assert not degrading.thinned


def test_the_table_follows_what_batches_really_take() -> None:
    refit = Refitting(CostTable((BatchCost(1, 1, 10.0), BatchCost(4, 1, 20.0))))
    before = refit.table
    for turn in range(9):
        refit.measured(1, 1, 10.1, 100.0 * turn)
    assert refit.table is before
    for turn in range(9, 20):
        refit.measured(1, 1, 15.0, 100.0 * turn)
    assert [cost.ms for cost in refit.table.costs] == pytest.approx([15.0, 30.0])
