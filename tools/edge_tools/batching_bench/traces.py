"""Arrivals to replay: made ones, each from a seed, and recorded ones. Times in milliseconds from 0."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.batching.vocabulary import Request

__all__ = ["TRACES", "Arrivals", "requests"]

PERIOD_MS = 1000 / 30
# So many arrivals make a trace, whatever its rate is: 40 s of one camera, 2.5 s of sixteen.
_COUNT = 1200


@dataclass(frozen=True)
class Arrivals:
    """`times` are (ms, source), ascending; `live`: a source's newer frame makes the older one worthless.

    `together`: the largest batch that such arrivals can fill without waiting for long: what capacity is reckoned with.
    """

    times: tuple[tuple[float, str], ...]
    live: bool
    together: int

    @property
    def rate(self) -> float:
        """Requests per millisecond."""
        return (len(self.times) - 1) / (self.times[-1][0] - self.times[0][0])


def requests(arrivals: Arrivals, allowed_ms: float) -> tuple[Request, ...]:
    """Return the arrivals as requests to be answered within `allowed_ms`."""
    return tuple(
        Request(number, source, at, at + allowed_ms, live=arrivals.live)
        for number, (at, source) in enumerate(arrivals.times)
    )


def _cameras(chance: random.Random, cameras: int, jitter_ms: float = 0.0) -> list[tuple[float, str]]:
    """Cameras that are not synchronised: each its own phase, its frames late or early by `jitter_ms` (normal)."""
    times = []
    for camera in range(cameras):
        phase, last = chance.uniform(0, PERIOD_MS), 0.0
        for frame in range(_COUNT // cameras):
            at = phase + frame * PERIOD_MS + (chance.gauss(0, jitter_ms) if jitter_ms else 0.0)
            last = max(at, last + 0.5)  # frames of one camera stay in order
            times.append((last, f"camera-{camera}"))
    return times


def _steady(cameras: int) -> Callable[[random.Random], Arrivals]:
    return lambda chance: _arrivals(_cameras(chance, cameras), True, cameras)


def _jitter(chance: random.Random) -> Arrivals:
    return _arrivals(_cameras(chance, 4, jitter_ms=5.0), True, 4)


def _bursts(chance: random.Random) -> Arrivals:
    """Parts on a belt: every 400 ms or so, 12 images within a few milliseconds; all of them are wanted."""
    times, at = [], 0.0
    for _ in range(_COUNT // 24):
        at += chance.uniform(300, 500)
        times += [(at + image * 1.0, "belt") for image in range(12)]
    return _arrivals(times, False, 12)


def _poisson(chance: random.Random) -> Arrivals:
    times, at = [], 0.0
    for _ in range(_COUNT // 2):
        at += chance.expovariate(120 / 1000)
        times.append((at, "requests"))
    return _arrivals(times, False, 8)


def _stalled(chance: random.Random) -> Arrivals:
    """Four cameras; one stops for 1.5 s now and then, and afterwards delivers five buffered frames at once."""
    times = []
    for at, source in sorted(_cameras(chance, 4, jitter_ms=0.5)):
        into = at % 4000
        if source != "camera-0" or into < 2500:
            times.append((at, source))
        elif into > 4000 - 5 * PERIOD_MS:  # buffered while it stalled
            times.append((at - into + 4000 + 2 * (into - 4000 + 5 * PERIOD_MS) / PERIOD_MS, source))
    return _arrivals(times, True, 4)


def _arrivals(times: list[tuple[float, str]], live: bool, together: int) -> Arrivals:
    return Arrivals(tuple(sorted(times)), live, together)


def _recorded(chance: random.Random) -> Arrivals:
    """Real arrivals of four videos (see the file). The seed chooses where they begin: the record goes round."""
    lines = (Path(__file__).parent / "recorded" / "four-cameras.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines if not line.startswith(("#", "ms"))]
    times = [(float(at), source) for at, source in rows]
    # Only while all four are there; the seam is a frame's time.
    first = max(min(at for at, source in times if source == name) for name in {source for _, source in times})
    last = min(max(at for at, source in times if source == name) for name in {source for _, source in times})
    times = [(at - first, source) for at, source in times if first <= at <= last]
    length = times[-1][0] + PERIOD_MS / 4
    shift = chance.uniform(0, length)
    return _arrivals([((at - shift) % length, source) for at, source in times], True, 4)


TRACES: Mapping[str, Callable[[random.Random], Arrivals]] = {
    "steady-1": _steady(1),
    "steady-4": _steady(4),
    "steady-16": _steady(16),
    "bursts": _bursts,
    "jitter": _jitter,
    "poisson": _poisson,
    "stalled-camera": _stalled,
    "recorded": _recorded,
}
