from __future__ import annotations

from dataclasses import replace

from batching_cases import FLAT, GPU, request, running, state, table
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.batching import AdaptivePolicy, BatchCosts
from edge_runtime.batching.vocabulary import Decision, Forecast, Request, Running, State


def decide(found: State) -> Decision:
    return AdaptivePolicy().decide(found)


def test_an_idle_server_runs_what_waits_at_once() -> None:
    decision = decide(state(request(0)))
    assert [r.number for r in decision.run] == [0]
    assert "1 of 1" in decision.why


def test_nothing_is_decided_where_nothing_waits() -> None:
    decision = decide(state())
    assert (decision.run, decision.drop, decision.wake_ms) == ((), (), None)


def test_where_batching_gains_a_queue_runs_together() -> None:
    assert len(decide(state(*(request(n, f"c{n}") for n in range(4)))).run) == 4


def test_where_batching_gains_nothing_a_queue_runs_one_by_one() -> None:
    decision = decide(state(*(request(n, f"c{n}") for n in range(4)), costs=FLAT))
    assert [r.number for r in decision.run] == [0]


def test_a_batch_is_no_larger_than_its_earliest_deadline_allows() -> None:
    queue = [request(0, allowed=8.0), *(request(n, allowed=100.0) for n in range(1, 8))]
    run = decide(state(*queue)).run
    assert run[0].number == 0
    assert BatchCosts(GPU).ms(len(run)) <= 8.0


def test_the_earliest_deadline_goes_first() -> None:
    decision = decide(state(request(0, allowed=90.0), request(1, allowed=30.0), costs=FLAT))
    assert [r.number for r in decision.run] == [1]


def test_only_the_newest_frame_of_a_live_camera_runs() -> None:
    old, new = request(0, "cam", live=True), request(1, "cam", at=5.0, live=True)
    decision = decide(state(old, new, now=5.0))
    assert [r.number for r in decision.run] == [1]
    assert [(d.request.number, d.reason) for d in decision.drop] == [(0, "superseded")]


def test_tiles_of_one_live_frame_do_not_replace_each_other() -> None:
    decision = decide(state(*(request(n, "cam", live=True) for n in range(4))))
    assert len(decision.run) == 4
    assert decision.drop == ()


def test_a_live_frame_that_is_late_is_dropped_when_others_wait() -> None:
    late, ready = request(0, "a", allowed=50.0, live=True), request(1, "b", at=48.0)
    decision = decide(state(late, ready, now=48.0))
    assert [r.number for r in decision.run] == [1]
    assert [d.reason for d in decision.drop] == ["late"]


def test_late_work_that_is_not_live_runs_last() -> None:
    late, ready = request(0, "a", allowed=50.0), request(1, "b", at=60.0)
    assert [r.number for r in decide(state(late, ready, now=60.0)).run] == [1]
    alone = decide(state(late, now=60.0))
    assert [r.number for r in alone.run] == [0]
    assert alone.drop == ()


def test_a_camera_whose_deadline_can_never_be_met_is_still_answered() -> None:
    decision = decide(state(request(0, allowed=2.0, live=True)))
    assert [r.number for r in decision.run] == [0]


def test_shapes_are_not_mixed() -> None:
    decision = decide(
        state(request(0, shape=(3, 32, 32)), request(1, shape=(3, 64, 64)), request(2, shape=(3, 32, 32)))
    )
    assert [r.number for r in decision.run] == [0, 2]


def _four_cameras(now: float) -> dict[str, Forecast]:
    """Cameras of 100 frames a second each, out of step by 2.5 ms."""
    return {f"c{n}": Forecast(now + 2.5 * ((n - 1) % 4 + 1), 0.1, 10.0, 30.0, 1, True) for n in range(4)}


def test_a_batch_is_held_for_a_frame_that_comes_in_time_when_small_ones_do_not_keep_up() -> None:
    queue = state(request(0, "c0", at=0.0, allowed=30.0, live=True))
    decision = decide(replace(queue, forecasts=_four_cameras(0.0)))
    assert decision.run == ()
    assert decision.wake_ms is not None
    assert decision.wake_ms <= 30.0 - BatchCosts(GPU).ms(1)
    assert "c1" in decision.why


def test_a_batch_is_not_held_when_single_ones_keep_up() -> None:
    slow = {name: replace(f, period_ms=100.0) for name, f in _four_cameras(0.0).items()}
    decision = decide(replace(state(request(0, "c0", allowed=30.0, live=True)), forecasts=slow))
    assert len(decision.run) == 1


def test_a_batch_is_not_held_for_a_frame_that_comes_by_chance() -> None:
    chance = {name: replace(f, spread_ms=10.0) for name, f in _four_cameras(0.0).items()}
    decision = decide(replace(state(request(0, "c0", allowed=14.0)), forecasts=chance))
    assert len(decision.run) == 1


def test_urgent_work_stops_background_work_between_blocks() -> None:
    background = running(request(0, priority="background"))
    queue = replace(state(request(1, priority="urgent")), running=(background,))
    decision = decide(queue)
    assert decision.preempt
    assert [r.number for r in decision.run] == [1]
    assert not decide(replace(queue, running=(replace(background, preemptible=False),))).preempt
    assert not decide(replace(queue, running=(running(request(0)),))).preempt
    assert not decide(replace(queue, waiting=(request(1),))).preempt


def test_urgent_work_goes_first_even_when_it_is_late() -> None:
    late = request(0, allowed=10.0, priority="urgent", live=True)
    decision = decide(state(request(1, at=19.0, allowed=20.0), late, now=20.0))
    assert [r.number for r in decision.run] == [0]


def test_background_work_runs_only_in_gaps() -> None:
    queue = state(request(0, priority="background", allowed=1e6))
    near = {"cam": Forecast(2.0, 0.1, 33.3, 8.0, 1, True)}
    far = {"cam": Forecast(30.0, 0.1, 33.3, 8.0, 1, True)}
    assert decide(replace(queue, forecasts=near)).run == ()
    assert len(decide(replace(queue, forecasts=far)).run) == 1


def test_a_second_lane_stays_free_where_it_would_make_a_batch_under_way_late() -> None:
    tight = Running((request(0, allowed=11.0),), 0.0, 10.0)
    queue = State(2.0, (request(1, at=2.0),), (tight,), FLAT, lanes=2)
    assert decide(queue).run == ()


_REQUESTS = st.builds(
    request,
    number=st.integers(0, 10**6),
    source=st.sampled_from("abcd"),
    at=st.floats(0, 100),
    allowed=st.floats(1, 200),
    priority=st.sampled_from(["urgent", "normal", "background"]),
    live=st.booleans(),
    shape=st.sampled_from([(), (3, 8, 8)]),
)
_FORECASTS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        Forecast,
        next_ms=st.floats(50, 200),
        spread_ms=st.floats(0, 50),
        period_ms=st.floats(1, 100),
        allowed_ms=st.floats(0, 200),
        count=st.integers(1, 12),
        live=st.booleans(),
    ),
)


@st.composite
def _states(draw: st.DrawFn) -> State:
    waiting = draw(st.lists(_REQUESTS, max_size=12, unique_by=lambda r: r.number))
    lanes = draw(st.integers(1, 3))
    under_way = draw(
        st.lists(
            st.builds(
                lambda r, left, stop: Running((r,), 0.0, 100.0 + left, stop), _REQUESTS, st.floats(0, 50), st.booleans()
            ),
            max_size=lanes,
        )
    )
    costs = draw(st.sampled_from([GPU, FLAT, table((1, 1, 6.0), (4, 1, 9.0), (1, 2, 8.0))]))
    return State(100.0, tuple(waiting), tuple(under_way), costs, lanes, draw(_FORECASTS))


@settings(max_examples=40)
@given(_states())
def test_what_is_run_fits_lanes_memory_shape_and_priority(found: State) -> None:
    decision = decide(found)
    if decision.run:
        busy = len(found.running) - decision.preempt
        assert busy < found.lanes
        assert len({(r.shape, r.priority) for r in decision.run}) == 1
        assert len(decision.run) <= BatchCosts(found.table).largest
    assert decision.why


@settings(max_examples=40)
@given(_states())
def test_a_request_is_run_or_dropped_for_a_reason_or_waits_on(found: State) -> None:
    decision = decide(found)
    run, dropped = [r.number for r in decision.run], [d.request.number for d in decision.drop]
    assert len(set(run + dropped)) == len(run + dropped)
    assert set(run + dropped) <= {r.number for r in found.waiting}
    assert all(d.reason in ("superseded", "late", "overload") for d in decision.drop)
    assert all(d.request.live for d in decision.drop)


@settings(max_examples=40)
@given(_states())
def test_urgent_work_is_never_left_behind_other_work(found: State) -> None:
    decision = decide(found)
    dropped = {d.request.number for d in decision.drop}
    urgent = [r for r in found.waiting if r.priority == "urgent" and r.number not in dropped]
    if decision.run and urgent:
        assert decision.run[0].priority == "urgent"


@settings(max_examples=40)
@given(_states())
def test_a_hold_ends_while_the_earliest_deadline_can_still_be_met(found: State) -> None:
    decision = decide(found)
    if decision.wake_ms is not None:
        assert not decision.run
        dropped = {d.request.number for d in decision.drop}
        alone = BatchCosts(found.table).ms(1, min(len(found.running) + 1, found.lanes))
        ready = [
            r.deadline_ms
            for r in found.waiting
            if r.number not in dropped and r.priority == "normal" and r.deadline_ms >= found.now_ms + alone
        ]
        assert decision.wake_ms > found.now_ms + 1e-4  # not asked again and again at one moment
        assert decision.wake_ms + alone <= min(ready)


@settings(max_examples=40)
@given(_states())
def test_the_earliest_deadline_of_a_batch_leads_it(found: State) -> None:
    run = decide(found).run
    assert list(run) == sorted(run, key=lambda r: (r.deadline_ms, r.number))


@settings(max_examples=40)
@given(_states())
def test_the_same_question_has_the_same_answer(found: State) -> None:
    policy = AdaptivePolicy()
    first = policy.decide(found)
    assert policy.decide(found) == first
    assert decide(found) == first


def test_lateness_is_judged_by_when_a_lane_is_free() -> None:
    # On a second lane it would be late, after the batch under way it is not.
    soon = Running((request(0, allowed=40.0),), 0.0, 5.0)
    queue: tuple[Request, ...] = (request(1, allowed=18.0, live=True),)
    assert decide(State(0.0, queue, (soon,), FLAT, lanes=2)).drop == ()
