from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.ort.stepping.policy import DWELL, PURSE_MS, SHARE, State, Window, decide

# How many times as long as at best a run takes, by threads; and the cores that other work leaves.
Machine = Callable[[int], tuple[float, float]]


def idle(threads: int) -> tuple[float, float]:
    return 2 / threads, 2.0


def crowded(threads: int) -> tuple[float, float]:
    """Beside others that hold both cores two threads wait for each other."""
    return 10.0 if threads == 2 else 5.0, 0.3


def shared(threads: int) -> tuple[float, float]:
    """Other work is there, and two threads are faster all the same."""
    return 4 / threads, 1.2


@dataclass
class Life:
    """What the policy does with what a machine shows it."""

    state: State = field(default_factory=lambda: State(2, 2))
    ms: float = 0.0
    lost_ms: float = 0.0
    changes: list[int] = field(default_factory=list)
    windows: int = 0

    def on(self, machine: Machine, windows: int, noise: Iterator[float] | None = None) -> Life:
        for _ in range(windows):
            threads, before = self.state.threads, self.state.settled
            pace, room = machine(threads)
            ms = self.state.window_ms
            self.ms += ms
            self.lost_ms += ms * max(0.0, 1 - machine(before)[0] / pace)
            self.state = decide(self.state, Window(threads, ms, ms / pace / (next(noise) if noise else 1.0), room))
            self.windows += 1
            if self.state.settled != before:
                self.changes.append(self.windows)
        return self


def test_where_nothing_disturbs_nothing_is_tried() -> None:
    life = Life().on(idle, 1000)
    assert (life.changes, life.lost_ms, life.state.threads) == ([], 0.0, 2)


def test_beside_a_load_the_faster_number_is_found_within_three_windows() -> None:
    life = Life().on(idle, 50).on(crowded, 3)
    assert life.state.threads == 1


def test_under_a_constant_load_it_changes_once() -> None:
    assert Life().on(crowded, 3000).changes == [3]


def test_all_threads_come_back_when_the_load_goes() -> None:
    life = Life().on(crowded, 200).on(idle, 3)
    assert life.state.threads == 2
    assert life.on(idle, 100).changes[2:] == []


def test_they_come_back_where_the_system_tells_nothing() -> None:
    def silent(pace_of_two: float) -> Callable[[State], State]:
        def step(state: State) -> State:
            pace = pace_of_two if state.threads == 2 else 5.0
            return decide(state, Window(state.threads, state.window_ms, state.window_ms / pace))

        return step

    state = State(2, 2)
    for _ in range(20):
        state = silent(10.0)(state)
    assert state.settled == 1
    for _ in range(100):
        state = silent(1.0)(state)
    assert state.settled == 2


def test_switches_alone_show_other_work() -> None:
    state = State(2, 2)
    for _ in range(3):
        pace = 10.0 if state.threads == 2 else 5.0
        state = decide(state, Window(state.threads, 100.0, 100 / pace, 2.0, 80.0))
    assert state.settled == 1


def test_trials_that_are_lost_get_rare() -> None:
    life = Life().on(shared, 5000)
    assert life.changes == []
    assert life.lost_ms <= 0.005 * life.ms


def test_as_many_threads_are_tried_as_there_is_room_for() -> None:
    assert decide(State(8, 8), Window(8, 100.0, 40.0, 6.8)).threads == 7


def test_one_thread_and_all_are_tried_as_well() -> None:
    tried = set()
    state = State(4, 4)
    for _ in range(400):
        tried.add(state.threads)
        pace = {4: 1.5, 3: 2.0, 1: 4.0}[state.threads]
        state = decide(state, Window(state.threads, state.window_ms, state.window_ms / pace, 2.9))
    assert tried == {4, 3, 1}
    assert state.settled == 4


def test_a_load_that_flickers_makes_it_patient() -> None:
    life = Life()
    for _ in range(40):
        life.on(crowded, 12).on(idle, 12)
    assert life.state.patience == 8
    assert life.on(idle, 400).state.patience == 1


def test_windows_of_other_threads_say_nothing() -> None:
    state = State(2, 2)
    assert decide(state, Window(1, 100.0, 10.0, 0.1)) == state


@pytest.mark.parametrize("machine", [idle, crowded, shared])
@given(st.data())
@settings(max_examples=30)
def test_under_a_constant_load_it_ends_with_the_faster_number_whatever_the_noise(
    machine: Machine, data: st.DataObject
) -> None:
    draw = data.draw(st.lists(st.floats(0.9, 1.1), min_size=8, max_size=60))
    noise = (draw[place % len(draw)] for place in range(10**9))
    life = Life().on(machine, 500, noise)
    assert life.state.settled == min((1, 2), key=lambda threads: machine(threads)[0])
    assert len(life.changes) <= 1


WINDOWS = st.tuples(
    st.floats(1.0, 50.0), st.floats(1.0, 50.0), st.none() | st.floats(0.0, 2.0), st.none() | st.floats(0.0, 200.0)
)


@given(st.lists(WINDOWS, min_size=1, max_size=300))
def test_whatever_it_sees_it_does_not_flap_and_does_not_spend_more_than_its_purse(
    seen: list[tuple[float, float, float | None, float | None]],
) -> None:
    state, ms, lost = State(2, 2), 0.0, 0.0
    changes = [-DWELL]
    for number, (two, one, room, switches) in enumerate(seen):
        before = state
        window = Window(
            state.threads, state.window_ms, state.window_ms / (two if state.threads == 2 else one), room, switches
        )
        state = decide(state, window)
        ms += window.ms
        assert 1 <= state.threads <= 2
        if state.settled != before.settled:
            assert number - changes[-1] > DWELL
            changes.append(number)
        if before.candidate and not state.candidate and state.settled == before.settled:
            lost += before.purse_ms + SHARE * window.ms - state.purse_ms
        longest = 6 * 800.0  # the candidate's windows of one trial, at their longest
        assert lost <= PURSE_MS + SHARE * ms + longest
