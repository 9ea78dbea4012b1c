"""When a machine under load has reached the speed it keeps."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.tune.thermal import Window, is_steady, scatter, sustained

LAST = 12  # windows of 5 s fill the minute that has to be level


def trace(speeds, celsius=None, seconds=5.0):
    warm = [None] * len(speeds) if celsius is None else celsius
    return [Window((k + 1) * seconds, seconds, speed, warm[k]) for k, speed in enumerate(speeds)]


def heating(minutes, tau=120.0):
    """A Raspberry Pi without a fan: 100 images/s falling to 60, 50 °C rising to 80."""
    times = [5.0 * k for k in range(int(minutes * 12))]
    left = [math.exp(-t / tau) for t in times]
    return trace([60 + 40 * x for x in left], [80 - 30 * x for x in left])


def test_a_level_trace_is_steady():
    assert is_steady(trace([100.0] * LAST))


def test_too_few_windows_are_not():
    assert not is_steady(trace([100.0] * (LAST - 1)))


def test_a_board_that_still_heats_up_is_not_steady_and_becomes_so():
    assert not is_steady(heating(2))
    assert is_steady(heating(20))


def test_a_level_speed_at_a_rising_temperature_is_not_steady():
    assert not is_steady(trace([100.0] * 12, [50.0 + 2 * k for k in range(12)]))
    assert is_steady(trace([100.0] * 12, [50.0] * 12))


def test_one_odd_window_moves_nothing():
    assert is_steady(trace([100.0, 100.0, 30.0, *[100.0] * 9]))


@given(st.floats(1e-3, 1e6), st.floats(0.02, 0.5))
def test_a_trend_is_seen_whatever_the_unit(scale, fall):
    speeds = [scale * (1 - fall * k / (LAST - 1)) for k in range(LAST)]
    assert not is_steady(trace(speeds))


def test_small_noise_is_no_trend():
    draw = random.Random(3)
    assert is_steady(trace([100 + draw.uniform(-0.2, 0.2) for _ in range(20)]))


def test_noise_hides_a_trend_so_nothing_is_claimed():
    draw = random.Random(3)
    windows = trace([100 + draw.uniform(-20, 20) for _ in range(20)])
    assert scatter(windows) > 0.05
    assert not is_steady(windows)


def test_a_board_with_a_large_heat_sink_is_not_taken_for_steady_early():
    """It warms up for a quarter of an hour: over half a minute nothing seems to change."""
    windows = heating(8, tau=400.0)
    assert not is_steady(windows)
    assert is_steady(heating(60, tau=400.0))


def test_the_first_minute_and_the_end_are_told_apart():
    found = sustained(heating(20))
    assert found is not None
    assert found.steady
    assert 90 < found.first_minute_per_s < 95
    assert found.steady_per_s == pytest.approx(60, abs=0.5)
    assert 300 < found.after < 900


def test_a_short_load_has_no_steady_state():
    found = sustained(heating(1))
    assert found is not None
    assert not found.steady
    assert found.after == 60.0


def test_no_load_says_nothing():
    assert sustained([]) is None
