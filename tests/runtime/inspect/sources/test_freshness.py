"""How old a picture is, and when a source is silent: without threads and without a clock."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspect.sources.freshness import Age, Freshness


def seen(fresh: Freshness, times: Iterable[tuple[float | None, float]]) -> list[Age]:
    return [fresh.see(pts, arrived, number) for number, (pts, arrived) in enumerate(times)]


def states(ages: Iterable[Age]) -> list[str]:
    return [age.state for age in ages]


def steady(count: int, period: float = 0.04, begins: float = 100.0) -> list[tuple[float | None, float]]:
    return [(number * period, begins + number * period) for number in range(count)]


def test_a_steady_stream_is_fresh_from_its_second_picture_on() -> None:
    assert states(seen(Freshness(), steady(50)))[1:] == ["fresh"] * 49


def test_the_last_picture_that_a_decoder_hands_out_at_its_time_limit_is_stale() -> None:
    fresh = Freshness()
    seen(fresh, steady(50))
    age = fresh.see(2.0, 112.0, 50)  # the picture after the last, ten seconds later
    assert age.state == "stale"
    assert age.seconds == pytest.approx(10.0, abs=0.1)
    assert fresh.see(2.0, 112.1, 51).state == "repeated"


def test_what_a_stall_kept_back_is_stale_and_the_newest_of_it_is_not() -> None:
    fresh = Freshness()
    seen(fresh, steady(50))
    ages = [fresh.see(2 + number * 0.04, 116.0 + number * 0.001, 50 + number) for number in range(350)]
    assert ages[0].seconds == pytest.approx(14.0, abs=0.1)
    assert states(ages[:290]) == ["stale"] * 290
    assert states(ages[-40:]) == ["fresh"] * 40


def test_a_camera_that_was_silent_and_goes_on_is_fresh_at_once() -> None:
    fresh = Freshness()
    seen(fresh, steady(50))
    age = fresh.see(16.0, 116.02, 50)
    assert age.state == "fresh"
    assert age.seconds < 0.1


def test_what_a_server_kept_for_the_beginning_is_not_judged() -> None:
    kept = [(number * 0.04, 100 + number * 0.001) for number in range(50)]
    live = [(2 + number * 0.04, 100.05 + number * 0.04) for number in range(5)]
    found = states(seen(Freshness(), kept + live))
    assert "fresh" not in found[:50]
    assert found[-4:] == ["fresh"] * 4


def test_a_clock_that_begins_anew_is_learnt_anew() -> None:
    fresh = Freshness()
    seen(fresh, [(1000 + number * 0.04, 100 + number * 0.04) for number in range(50)])
    assert states(seen(fresh, steady(50, begins=102.0)))[1:] == ["fresh"] * 49


def test_a_clock_that_jumps_ahead_is_followed() -> None:
    fresh = Freshness()
    seen(fresh, steady(50))
    assert (
        states(fresh.see(95443 + number * 0.04, 102 + number * 0.04, 50 + number) for number in range(50))
        == ["fresh"] * 50
    )


def test_a_lag_that_grows_is_seen_and_the_drift_of_a_clock_is_not_taken_for_one() -> None:
    lagging = [(number * 0.04, 100 + number * 0.05) for number in range(1000)]  # 20 of 25 pictures a second are read
    found = seen(Freshness(), lagging)
    assert found[-1].state == "stale"
    drifting = [(number * 0.04, 100 + number * 0.04 * 1.0005) for number in range(300_000)]  # 500 ppm, over 3 hours
    assert {age.state for age in seen(Freshness(), drifting)[1:]} == {"fresh"}


@given(st.lists(st.floats(0, 0.3), min_size=10, max_size=200))
def test_what_a_network_delays_a_little_is_fresh(delays: list[float]) -> None:
    arrived, times = 0.0, []
    for number, delay in enumerate(delays):
        arrived = max(arrived, 100 + number * 0.04 + delay)
        times.append((number * 0.04, arrived))
    found = states(seen(Freshness(), times))
    assert "stale" not in found
    assert "unknown" not in found[found.index("fresh") :] if "fresh" in found else True


def test_without_a_clock_what_comes_in_haste_after_a_silence_is_not_judged() -> None:
    fresh = Freshness()
    assert states(seen(fresh, [(None, 100 + number * 0.1) for number in range(20)])) == ["fresh"] * 20
    assert fresh.see(None, 116.0, 20).state == "unknown"
    assert fresh.see(None, 116.001, 21).state == "unknown"
    assert fresh.see(None, 116.002, 22).state == "unknown"
    assert fresh.see(None, 116.1, 23).state == "fresh"
    assert fresh.see(None, 116.11, 24).state == "fresh"  # a network may hurry again


def test_a_clock_that_stands_still_is_none() -> None:
    found = states(seen(Freshness(), [(0.0, 100 + number * 0.04) for number in range(10)]))
    assert found[-6:] == ["fresh"] * 6


def test_silence_is_two_seconds_or_three_of_the_sources_own_periods() -> None:
    fresh = Freshness()
    assert fresh.limit == 2.0
    seen(fresh, steady(20))
    assert fresh.limit == 2.0
    slow = Freshness()
    found = seen(slow, [(None, 100 + number * 5.0) for number in range(6)])
    assert slow.limit == 15.0
    assert states(found)[3:] == ["fresh"] * 3
    slow.restart()
    assert slow.limit == 15.0  # it is the same camera
    declared = Freshness()
    declared.restart(fps=0.2)
    assert declared.limit == 15.0


def test_one_long_gap_makes_no_slow_source() -> None:
    fresh = Freshness()
    seen(fresh, [(None, 100.0), (None, 114.0), (None, 114.04), (None, 114.08)])
    assert fresh.limit == 2.0


def test_the_first_pictures_of_a_stream_with_a_clock_are_not_judged_before_it_is_seen_to_keep_time() -> None:
    """As FFmpeg gives them that it looked at while it opened the stream: in haste, and the first without a time."""
    fresh = Freshness()
    fresh.restart(10.0, clocked=True)
    kept: list[tuple[float | None, float]] = [(None, 103.5), (0.1, 103.5), (None, 103.501)]
    found = states(seen(fresh, [*kept, *((0.3 + number / 10, 103.502) for number in range(30))]))
    assert "fresh" not in found
    later = (fresh.see(3.3 + number / 10, 103.6 + number / 10, 33 + number) for number in range(10))
    assert states(later) == ["fresh"] * 10


def test_a_stream_with_a_clock_that_shows_no_time_goes_by_its_pace() -> None:
    fresh = Freshness()
    fresh.restart(clocked=True)
    found = states(seen(fresh, [(None, 100.0), (None, 100.001), *((None, 100.1 + n / 10) for n in range(10))]))
    assert found == ["unknown", "unknown", *["fresh"] * 10]


def test_a_clock_that_is_set_while_it_is_not_seen_is_learnt_anew() -> None:
    """OpenCV on an RTSP camera of 1 and of 0.2 pictures a second: the sender's report sets the times anew."""
    for period, before, after in ((1.0, [3.0, 4.0, 5.0, None], 1.0), (5.0, [5.0, None, None], 5.0)):
        fresh = Freshness()
        fresh.restart(1 / period, clocked=True)
        times = [*before, *(after + period * number for number in range(20))]
        ages = seen(fresh, [(pts, 107.0 + period * number) for number, pts in enumerate(times)])
        assert states(ages)[1:] == ["fresh"] * (len(times) - 1)
        assert max(age.seconds for age in ages) < 0.5


def test_a_time_that_is_missing_now_and_then_does_not_hide_a_lag() -> None:
    fresh = Freshness()
    fresh.restart(25.0, clocked=True)
    seen(fresh, steady(50))
    assert fresh.see(None, 102.0, 50).state == "fresh"
    assert fresh.see(2.04, 112.0, 51).state != "fresh"
    assert fresh.see(2.08, 112.001, 52).state != "fresh"


def test_what_is_declared_is_believed_up_to_ten_seconds() -> None:
    fresh = Freshness()
    fresh.restart(fps=0.001)
    assert fresh.limit == 30.0
