"""Whether a machine under load has reached the speed it keeps: pure figures in, a verdict out."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SPAN", "Sustained", "Window", "is_steady", "scatter", "sustained"]

# The last so many seconds have to be level: less than this change of speed over all of them, and of temperature. Boards
# warm up over minutes, so that a shorter look sees no change where there is one.
SPAN = 60.0
_LEVEL, _CELSIUS = 0.01, 1.0
# Where windows differ by more than this, a trend of that size would not be seen.
_SCATTER = 0.02
_LEAST = 6  # windows


@dataclass(frozen=True)
class Window:
    """A stretch of computing without a pause: when it ended and how long it took in seconds, images per second, the
    temperature at its end in degrees Celsius (None: no sensor).
    """

    end: float
    seconds: float
    images_per_s: float
    celsius: float | None = None


@dataclass(frozen=True)
class Sustained:
    """Images per second in the first minute and at the end; `steady`: the end is the thermal steady state, which began
    after `after` seconds.
    """

    first_minute_per_s: float
    steady_per_s: float
    steady: bool
    after: float


def is_steady(windows: Sequence[Window]) -> bool:
    """Tell whether the last minute shows no trend, neither of the speed nor of the temperature."""
    last = _last(windows)
    if len(last) < _LEAST or last[-1].end - last[0].end + last[0].seconds < SPAN or scatter(last) > _SCATTER:
        return False
    speeds = [window.images_per_s for window in last]
    times = [window.end for window in last]
    if abs(_change(times, speeds)) > _LEVEL * statistics.median(speeds):
        return False
    warm = [window.celsius for window in last if window.celsius is not None]
    return len(warm) < len(last) or abs(_change(times, warm)) <= _CELSIUS


def scatter(windows: Sequence[Window]) -> float:
    """Return how far the last windows' speeds are from each other: their median distance from the median, relative."""
    speeds = [window.images_per_s for window in _last(windows)]
    middle = statistics.median(speeds) if speeds else 0.0
    return statistics.median(abs(speed - middle) for speed in speeds) / middle if middle else 0.0


def sustained(windows: Sequence[Window]) -> Sustained | None:
    """Sum a load up, from its start; None for none."""
    if not windows:
        return None
    start = windows[0].end - windows[0].seconds
    early = [window for window in windows if window.end - start <= SPAN] or list(windows[:1])
    images = sum(window.images_per_s * window.seconds for window in early)
    # Of a load that is shorter than twice the span the second half.
    end = statistics.median(window.images_per_s for window in _last(windows)[-max(len(windows) // 2, 1) :])
    count = len(windows)
    steady = is_steady(windows)
    while steady and is_steady(windows[: count - 1]):
        count -= 1
    after = windows[count - 1].end - start - (SPAN if steady else 0.0)
    return Sustained(images / sum(window.seconds for window in early), end, steady, max(after, 0.0))


def _last(windows: Sequence[Window]) -> list[Window]:
    """The windows of the last minute, one more where they do not fill it exactly."""
    found: list[Window] = []
    for window in reversed(windows):
        if found and windows[-1].end - found[-1].end + found[-1].seconds >= SPAN:
            break
        found.append(window)
    return found[::-1]


def _change(times: Sequence[float], values: Sequence[float]) -> float:
    """Return how much values change over all their time: the Theil-Sen slope, which one odd window does not move."""
    pairs = itertools.combinations(zip(times, values, strict=True), 2)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if b[0] > a[0]]
    return statistics.median(slopes) * (times[-1] - times[0]) if slopes else 0.0
