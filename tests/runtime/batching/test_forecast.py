from __future__ import annotations

import random

import pytest
from batching_cases import request

from edge_runtime.batching import ArrivalForecaster
from edge_runtime.batching.vocabulary import Forecast

PERIOD = 1000 / 30


def _after(*times: float, now: float | None = None, live: bool = True) -> Forecast | None:
    forecaster = ArrivalForecaster()
    for number, at in enumerate(times):
        forecaster.observe(request(number, at=at, live=live))
    return forecaster.forecasts(times[-1] if now is None else now).get("a")


def _sure(found: Forecast | None) -> Forecast:
    assert found is not None
    return found


def test_one_arrival_says_nothing() -> None:
    assert _after(5.0) is None


def test_a_steady_camera_is_foretold_to_the_microsecond() -> None:
    found = _sure(_after(*(7 + PERIOD * n for n in range(50))))
    assert found.next_ms == pytest.approx(7 + PERIOD * 50, abs=1e-3)
    assert found.spread_ms < 0.5
    assert (found.allowed_ms, found.live, found.count) == (100.0, True, 1)


def test_jitter_is_averaged_and_told() -> None:
    chance = random.Random(5)
    found = _sure(_after(*(PERIOD * n + chance.gauss(0, 3) for n in range(200))))
    assert found.period_ms == pytest.approx(PERIOD, rel=0.03)
    assert found.next_ms == pytest.approx(PERIOD * 200, abs=4)
    assert 1.5 < found.spread_ms < 6


def test_missed_frames_do_not_change_the_period() -> None:
    found = _sure(_after(*(PERIOD * n for n in range(90) if n % 10 not in (3, 4))))
    assert found.period_ms == pytest.approx(PERIOD, rel=1e-3)
    assert found.next_ms == pytest.approx(PERIOD * 90, abs=0.5)


def test_a_frame_that_is_overdue_is_expected_at_the_next_tick() -> None:
    times = [PERIOD * n for n in range(30)]
    found = _sure(_after(*times, now=PERIOD * 30 + 10))
    assert found.next_ms == pytest.approx(PERIOD * 31, abs=0.5)


def test_a_stalled_camera_is_not_foretold_and_comes_back_in_its_rhythm() -> None:
    times = [PERIOD * n for n in range(60)]
    assert _after(*times, now=PERIOD * 70) is None
    buffered = [PERIOD * 100 + 2 * n for n in range(5)]
    found = _sure(_after(*times, *buffered, PERIOD * 101, PERIOD * 102, PERIOD * 103))
    assert found.next_ms == pytest.approx(PERIOD * 104, abs=2)


def test_a_camera_that_is_set_to_half_its_rate_is_followed() -> None:
    before = [PERIOD * n for n in range(60)]
    after = [before[-1] + 2 * PERIOD * n for n in range(1, 15)]
    found = _sure(_after(*before, *after))
    assert found.period_ms == pytest.approx(2 * PERIOD, rel=0.02)


def test_tiles_of_one_frame_are_one_tick() -> None:
    found = _sure(_after(*(PERIOD * n for n in range(30) for _ in range(4)), PERIOD * 30))
    assert found.period_ms == pytest.approx(PERIOD, rel=0.01)
    assert found.count == 4


def test_a_burst_is_one_tick_of_many_requests() -> None:
    bursts = [400.0 * n + image for n in range(12) for image in range(12)]
    over = _sure(_after(*bursts, now=bursts[-1] + 50, live=False))
    assert over.count == 12
    assert over.next_ms == pytest.approx(4800, abs=20)
    inside = _sure(_after(*bursts, 4800.0, 4801.0, now=4801.0, live=False))
    assert inside.next_ms == pytest.approx(4802, abs=0.1)


def test_what_comes_by_chance_has_a_spread_as_large_as_its_mean() -> None:
    chance, at, times = random.Random(3), 0.0, []
    for _ in range(300):
        at += chance.expovariate(0.1)
        times.append(at)
    found = _sure(_after(*times))
    assert found.spread_ms >= 0.9 * found.period_ms
    assert 6 < found.period_ms < 15


def test_a_request_from_the_past_is_ignored() -> None:
    times = [PERIOD * n for n in range(30)]
    assert _after(*times, 3.0, now=times[-1]) == _after(*times)
