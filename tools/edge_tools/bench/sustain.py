"""A long run of one engine, alone and without a pause: what is left of its speed once the machine is warm."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edge_devices.power import Consumption, Meter, PowerSensor
from edge_tools.bench.cases import Sustained
from edge_tools.bench.process import Worker

__all__ = ["metered", "sustained", "sustained_of", "watts_now", "window_seconds"]

_SHORTEST, _LONGEST = 1.0, 5.0  # seconds of a window
_WINDOWS = 60


def window_seconds(seconds: float) -> float:
    """Return how long a window is: a sixtieth of the run, between 1 and 5 seconds."""
    return min(_LONGEST, max(_SHORTEST, seconds / _WINDOWS), seconds)


def sustained(
    worker: Worker,
    seconds: float,
    batch: int,
    sensor: PowerSensor | None,
    celsius: Callable[[], float | None],
    say: Callable[[float], None],
) -> tuple[Sustained, Consumption | None]:
    """Run an opened engine for that long; `say` is told the seconds that are left.

    Returns the windows and what was used (None without a sensor). Raises as `Worker.run` does.
    """
    window = window_seconds(seconds)
    times: list[list[float]] = []
    spans: list[float] = []
    warmth: list[float | None] = []
    with metered(sensor) as meter:
        while sum(spans) < seconds - window / 2:
            say(seconds - sum(spans))
            answer = worker.run_for(window)
            times.append(answer["ms"])
            spans.append(answer["seconds"])
            warmth.append(celsius())
    return sustained_of(times, spans, window, batch, warmth), meter.result() if meter else None


def sustained_of(
    times_ms: Sequence[Sequence[float]],
    spans_s: Sequence[float],
    window_s: float,
    batch: int,
    celsius: Sequence[float | None] = (),
) -> Sustained:
    """Judge the windows: each call's time in each of them, and how long each really was."""
    rates = [batch * len(times) / span for times, span in zip(times_ms, spans_s, strict=True)]
    everything = np.concatenate([np.asarray(times) for times in times_ms])
    return Sustained(
        images=batch * len(everything),
        seconds=round(sum(spans_s), 3),
        window_s=round(window_s, 3),
        first=round(rates[0], 3),
        steady=round(statistics.median(rates[len(rates) // 2 :]), 3),
        p99_ms=round(float(np.percentile(everything, 99)), 3),
        images_per_s=tuple(round(rate, 3) for rate in rates),
        celsius=tuple(celsius),
    )


@contextlib.contextmanager
def metered(sensor: PowerSensor | None) -> Iterator[Meter | None]:
    """Read the sensor in a thread of its own while the block runs, and at both ends; None without a sensor."""
    if sensor is None:
        yield None
        return
    meter, ended = Meter(sensor), threading.Event()

    def watch() -> None:
        meter.sample(time.monotonic())
        while not ended.wait(sensor.period_s):
            meter.sample(time.monotonic())
        meter.sample(time.monotonic())

    thread = threading.Thread(target=watch, name="edge-bench-power", daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        ended.set()
        thread.join()


def watts_now(sensor: PowerSensor | None, seconds: float) -> float | None:
    """Return the mean power over so many seconds in which nothing is measured; None without a sensor."""
    with metered(sensor) as meter:
        if meter is not None:
            threading.Event().wait(seconds)
    found = meter.result() if meter else None
    return None if found is None else round(found.watts, 3)
