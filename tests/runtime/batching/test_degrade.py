from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.batching import Ladder, Load, Rung, Step, next_rung

LADDER = Ladder((Step("background", 0.6), Step("normal", 0.8), Step("urgent", 0.7)))


def _play(rung: Rung, *loads: Load) -> tuple[Rung, list[str]]:
    told = []
    for load in loads:
        rung, why = next_rung(LADDER, rung, load)
        if why:
            told.append(why)
    return rung, told


def _strained(start: int, seconds: int) -> list[Load]:
    return [Load(1000.0 * (start + n), 1.0, 0.2, 5.0) for n in range(seconds)]


def _calm(start: int, seconds: int, used: float = 0.4) -> list[Load]:
    return [Load(1000.0 * (start + n), used, 0.0, 0.0) for n in range(seconds)]


def test_steps_are_given_up_in_the_declared_order_and_say_why() -> None:
    rung, told = _play(Rung(), *_strained(0, 7))
    assert rung.steps == 3
    assert [why.partition(":")[0] for why in told] == [f"sources to {step.priority}" for step in LADDER.steps]
    assert "20.0 % of the answers late" in told[0]


def test_a_moment_of_strain_changes_nothing() -> None:
    rung, told = _play(Rung(), *_strained(0, 1), *_calm(1, 1), *_strained(2, 1), *_calm(3, 1))
    assert (rung.steps, told) == (0, [])


def test_a_long_calm_takes_back_one_step_at_a_time() -> None:
    rung, _ = _play(Rung(), *_strained(0, 4))
    assert rung.steps == 2
    rung, told = _play(rung, *_calm(10, 12))
    assert rung.steps == 1
    assert told[0].startswith("sources as before")


def test_a_step_is_not_taken_back_where_the_load_would_not_leave_room_for_it() -> None:
    rung, _ = _play(Rung(), *_strained(0, 2))
    assert rung.steps == 1
    assert _play(rung, *_calm(10, 60, used=0.6))[0].steps == 1  # 0.6 of the time is all of it without the step


def test_a_step_that_was_taken_back_too_early_waits_twice_as_long() -> None:
    rung, _ = _play(Rung(), *_strained(0, 2), *_calm(2, 13))
    assert rung.steps == 0
    rung, _ = _play(rung, *_strained(15, 3))
    assert rung.steps == 1
    assert _play(rung, *_calm(20, 15))[0].steps == 1
    assert _play(rung, *_calm(20, 25))[0].steps == 0


def test_a_server_that_is_busy_but_in_time_keeps_everything() -> None:
    busy = [Load(1000.0 * n, 1.0, 0.0, 0.5) for n in range(30)]
    assert _play(Rung(), *busy)[0].steps == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 10)), max_size=60))
def test_the_ladder_is_climbed_one_rung_at_a_time_and_never_left(loads: list[tuple[float, float, float]]) -> None:
    rung = Rung()
    for number, (used, missed, queue) in enumerate(loads):
        following, why = next_rung(LADDER, rung, Load(1000.0 * number, used, missed, queue))
        assert abs(following.steps - rung.steps) == bool(why)
        assert 0 <= following.steps <= len(LADDER.steps)
        rung = following
