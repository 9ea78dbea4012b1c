"""The server's logic in simulated time: nothing is lost, lanes are kept, interrupted batches go on."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_cases import TABLE, Greedy, Scripted, simulate

from edge_runtime.batching import AdaptivePolicy
from edge_runtime.batching.forecast import ArrivalForecaster
from edge_runtime.batching.vocabulary import CostTable, Decision, Drop, Request, State
from edge_runtime.errors import EngineError
from edge_runtime.inspect.serving.core import Batch, Core
from edge_runtime.inspect.serving.order import InOrder


def request(number: int, at: float = 0.0, source: str = "a", **more: object) -> Request:
    return dataclasses.replace(Request(number, source, at, at + 100.0), **more)  # type: ignore[arg-type]


@st.composite
def traces(draw: st.DrawFn) -> list[Request]:
    gaps = draw(st.lists(st.integers(0, 50_000).map(lambda us: us / 1000), max_size=40))
    found, now = [], 0.0
    for number, gap in enumerate(gaps):
        now += gap
        found.append(
            Request(
                number,
                draw(st.sampled_from("abc")),
                now,
                now + draw(st.sampled_from([5.0, 40.0, 400.0, float("inf")])),
                draw(st.sampled_from(["urgent", "normal", "background"])),
                draw(st.booleans()),
            )
        )
    return found


@given(traces(), st.integers(1, 2), st.booleans(), st.booleans())
def test_every_request_is_run_once_or_dropped_once(
    trace: list[Request], lanes: int, preemptible: bool, adaptive: bool
) -> None:
    policy = AdaptivePolicy() if adaptive else Greedy()
    core = Core(policy, TABLE, lanes, preemptible, ArrivalForecaster())
    found = simulate(core, trace, lambda batch: 10.0 * len(batch.requests))
    run = [request.number for batch in found.batches for request in batch.requests]
    assert sorted(run + [drop.request.number for drop in found.drops]) == [request.number for request in trace]
    assert core.idle
    assert found.most_running <= lanes
    assert all(drop.request.live for drop in found.drops)  # only what a newer frame makes up for is left out


def test_a_batch_is_started_on_each_free_lane_and_not_beyond() -> None:
    core = Core(Greedy(most=1), TABLE, lanes=2)
    for number in range(3):
        core.arrive(request(number))
    starts = core.decide(0.0).starts
    assert [(batch.lane, batch.requests[0].number) for batch in starts] == [(0, 0), (1, 1)]
    core.finish(starts[0], 10.0)
    assert [(batch.lane, batch.requests[0].number) for batch in core.decide(10.0).starts] == [(0, 2)]


def test_a_policy_sees_what_runs_and_until_when() -> None:
    policy = Greedy(most=4)
    core = Core(policy, TABLE)
    core.arrive(request(0))
    core.arrive(request(1))
    core.decide(5.0)
    seen = policy.states[-1].running[0]
    assert [r.number for r in seen.requests] == [0, 1]
    assert (seen.started_ms, seen.ends_ms, seen.preemptible) == (5.0, 25.0, False)


def start_all(state: State) -> Decision:
    return Decision(run=state.waiting)


def preempt_all(state: State) -> Decision:
    return Decision(run=state.waiting, preempt=True)


def started_background(policy: Scripted) -> Core:
    core = Core(policy, TABLE, preemptible=True)
    core.arrive(request(0, priority="background"))
    core.decide(0.0)
    core.arrive(request(1, at=4.0, source="b", priority="urgent"))
    return core


def test_urgent_work_goes_in_front_of_a_background_batch_which_then_goes_on() -> None:
    seen: list[State] = []

    def look(state: State) -> Decision:
        seen.append(state)
        return Decision()

    core = started_background(Scripted(start_all, Decision(), preempt_all, look, look))
    urgent = core.decide(4.0).starts[0]
    assert (urgent.lane, urgent.preempts) == (0, True)
    assert len(seen[0].running) == 1
    assert seen[0].running[0].requests[0].number == 1
    assert seen[0].running[0].ends_ms == 20.0  # 4 + 10, and the 6 that are left of the other
    assert not seen[0].running[0].preemptible
    core.finish(urgent, 15.0)
    core.decide(15.0)
    assert seen[1].running[0].requests[0].number == 0
    assert seen[1].running[0].ends_ms == 21.0  # put off by 11
    assert seen[1].running[0].preemptible


def test_a_background_batch_may_end_before_it_could_be_interrupted() -> None:
    seen: list[State] = []

    def look(state: State) -> Decision:
        seen.append(state)
        return Decision()

    told: list[tuple[int, int, float]] = []
    core = Core(Scripted(start_all, Decision(), preempt_all, look, look), Told(told), preemptible=True)
    core.arrive(request(0, priority="background"))
    background = core.decide(0.0).starts[0]
    core.arrive(request(1, priority="urgent"))
    urgent = core.decide(4.0).starts[0]
    core.finish(background, 6.0, 6.0)
    core.decide(6.0)
    assert [running.requests[0].number for running in seen[1].running] == [1]
    core.finish(urgent, 16.0, 10.0)
    assert core.idle
    assert told == [(1, 1, 10.0)]  # what was, or may have been, interrupted says nothing of what a batch takes


class Told:
    """A table that keeps what it is told."""

    def __init__(self, told: list[tuple[int, int, float]]) -> None:
        self.table: CostTable = TABLE
        self._told = told

    def measured(self, batch: int, lanes: int, ms: float, now_ms: float) -> None:
        self._told.append((batch, lanes, ms))


def test_a_batch_tells_what_it_took_if_the_same_lanes_were_at_work_all_the_time() -> None:
    told: list[tuple[int, int, float]] = []
    core = Core(Greedy(most=1), Told(told), lanes=2)

    def arrive(number: int, now: float) -> Batch:
        core.arrive(request(number))
        return core.decide(now).starts[0]

    first = arrive(0, 0.0)
    core.finish(first, 10.0, 10.0)
    core.decide(10.0)
    second, third = arrive(1, 20.0), arrive(2, 25.0)  # the third joins the second
    core.arrive(request(3))
    core.decide(26.0)
    core.finish(second, 31.0, 11.0)
    fourth = core.decide(31.0).starts[0]  # takes the second's place at once: the third sees no change
    core.finish(third, 37.0, 12.0)
    core.decide(37.0)
    core.finish(fourth, 44.0, 13.0)
    assert told == [(1, 1, 10.0), (1, 2, 12.0)]


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision(run=(request(7),)), "runs request 7, which does not wait"),
        (Decision(drop=(Drop(request(7), "late"),)), "drops request 7"),
    ],
)
def test_a_decision_about_what_does_not_wait_is_refused(decision: Decision, words: str) -> None:
    core = Core(Scripted(decision), TABLE)
    core.arrive(request(0))
    with pytest.raises(EngineError, match=words):
        core.decide(0.0)


@pytest.mark.parametrize("second", [start_all, preempt_all])
def test_a_start_without_a_lane_is_refused(second: object) -> None:
    core = Core(Scripted(start_all, Decision(), second), TABLE, preemptible=True)  # type: ignore[arg-type]
    core.arrive(request(0))
    core.decide(0.0)
    core.arrive(request(1))
    with pytest.raises(EngineError, match="no lane is free"):
        core.decide(1.0)


def test_what_to_ask_again_and_every_decision_are_told() -> None:
    told: list[str] = []
    core = Core(
        Scripted(Decision(wake_ms=17.0, why="one more comes")), TABLE, explain=lambda state, made: told.append(made.why)
    )
    core.arrive(request(0))
    assert core.decide(0.0).wake_ms == 17.0
    assert told == ["one more comes"]


def test_only_what_has_a_rhythm_of_its_own_is_forecast() -> None:
    policy = Greedy()
    core = Core(policy, TABLE, forecaster=ArrivalForecaster())
    for number in range(6):
        core.arrive(request(2 * number, at=40.0 * number, source="camera", live=True))
        core.arrive(request(2 * number + 1, at=40.0 * number, source="file"))
    core.decide(201.0)
    assert set(policy.states[0].forecasts) == {"camera"}
    assert policy.states[0].forecasts["camera"].next_ms == pytest.approx(240.0, abs=1.0)


@pytest.mark.parametrize(("images", "lasts"), [(1, 10), (2, 20), (3, 30), (4, 40), (9, 40)])
def test_a_batch_is_expected_to_end_when_the_table_says_interpolated_where_it_was_not_measured(
    images: int, lasts: float
) -> None:
    core = Core(Greedy(most=16), TABLE)
    for number in range(images):
        core.arrive(request(number))
    (batch,) = core.decide(5.0).starts
    assert (len(batch.requests), batch.ends_ms) == (images, pytest.approx(5.0 + lasts))


@given(st.permutations(range(8)))
def test_what_is_done_in_any_order_leaves_in_the_order_it_came(order: list[int]) -> None:
    line: InOrder[int] = InOrder()
    tickets = [line.draw() for _ in range(8)]
    left = [value for index in order for value in line.hand_in(tickets[index], index)]
    assert left == list(range(8))
    assert len(line) == 0
