"""When will each source's next request come? A g-h filter (an alpha-beta tracker) per source on a clock that ticks.

A camera is a clock: arrivals lie at phase + n * period, give or take some jitter. The filter keeps the last tick's time
and the period, and corrects both by a part of each arrival's residual, so jitter averages out instead of adding up. A
gap of several periods is a missed frame, not a longer period. Arrivals far off the tick (a stall, buffered frames) do
not move it; if they keep coming, the source has changed and the period is taken anew from the last gaps. Where short
gaps and long ones alternate, with nothing in between, the short ones lie within a burst: a burst is one tick of many
requests, and while it lasts the next is expected after such a gap. What has no rhythm (Poisson) has residuals of a
quarter of its period or more: of it only the mean gap is told, with a spread as large, which says nothing of the next.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from itertools import pairwise

from edge_runtime.batching.vocabulary import Forecast, Priority, Request

__all__ = ["ArrivalForecaster", "Track", "forecast", "observe"]

# How much of a residual moves the tick and the period: h = g^2 / (2 - g) (Benedict and Bordner 1962); of the first
# ticks more, as the straight line through all of them has it: g = 2 (2 n - 1) / n (n + 1), h = 6 / n (n + 1).
_G = 0.15
_H = _G * _G / (2 - _G)
_SETTLED = 8  # ticks after which a rhythm is known well enough to call arrivals strays
_WRONG = 0.12  # a period this far off the median gap is not that of the source
_SPREAD = 0.1  # how fast the spread forgets
_MEAN = 0.05  # how fast the mean gap forgets
_FIRST = 0.1  # the spread of a period seen once, as a part of it
_RHYTHM = 0.25  # a larger spread than this part of the period is no rhythm: by chance it would be 1 / sqrt(12) = 0.29
_SAME_TICK = 0.05  # arrivals closer than this part of a period belong to one tick: tiles of one frame
_GAPS = 32  # the last gaps that a change is looked for in
_BURST = 6.0  # a gap this much longer than all those below it ends a burst
_STRAYS = 4.0  # so many arrivals off the tick one after the other: the source has changed
_BUFFERED = 0.34  # what one counts that comes too soon by far: it was buffered, there are seldom more than eight
_SILENT = 5.0  # without an arrival for so many periods a source has stopped
_OVERDUE = 2.5  # a tick is waited for so many standard deviations, then it was missed


@dataclass(frozen=True)
class Track:
    """What is known of one source; times in ms.

    Its last request came at `last_ms`, its last tick at `began_ms`, filtered `tick_ms`; `variance` is that of the
    residuals. `now_count` requests came with that tick so far, `count` with the one before, `inner_ms` apart;
    `mean_ms` is the mean time from tick to tick; `ticks` were seen since the rhythm began.
    `gaps` are the last times from request to request, `steps` from tick to tick.
    """

    last_ms: float
    began_ms: float
    tick_ms: float
    allowed_ms: float
    live: bool
    priority: Priority
    period_ms: float = 0.0
    variance: float = 0.0
    mean_ms: float = 0.0
    gaps: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    inner_ms: float = 0.0
    strays: float = 0.0
    ticks: int = 1
    count: int = 1
    now_count: int = 1


def observe(track: Track | None, request: Request) -> Track:
    """Return the track after one more arrival; None: it is the first. A request from before the last is ignored."""
    at, allowed_ms = request.arrived_ms, request.deadline_ms - request.arrived_ms
    if track is None:
        return Track(at, at, at, allowed_ms, request.live, request.priority)
    gap = at - track.last_ms
    if gap < 0:
        return track
    gaps = (*track.gaps, gap)[-_GAPS:] if gap > 0 else track.gaps
    within = _within_bursts(gaps)
    track = replace(track, last_ms=at, gaps=gaps, allowed_ms=allowed_ms, live=request.live, priority=request.priority)
    if gap <= max(_SAME_TICK * track.period_ms, within):
        return replace(track, now_count=track.now_count + 1, inner_ms=gap)
    since = at - track.began_ms
    mean = since if track.mean_ms <= 0 else (1 - _MEAN) * track.mean_ms + _MEAN * since
    steps = (*track.steps, since)[-_GAPS:]
    track = replace(track, began_ms=at, mean_ms=mean, steps=steps, count=track.now_count, now_count=1)
    return _tick(track, since, within)


def _tick(track: Track, since: float, within: float) -> Track:
    """Return the track with its last arrival taken as a tick, which came `since` the one before."""
    at, period = track.began_ms, track.period_ms
    if period <= 0:
        return replace(track, tick_ms=at, period_ms=since, variance=(_FIRST * since) ** 2, ticks=2)
    usual = statistics.median([step for step in track.steps if step > within])
    seen = track.ticks
    if abs(period - usual) > _WRONG * usual:  # a filter with a wrong period locks to it and slips a tick now and then
        seen = 2
    if seen < _SETTLED:
        period = usual
    ticks = max(1, round((at - track.tick_ms) / period))
    residual = at - (track.tick_ms + ticks * period)
    variance = (1 - _SPREAD) * track.variance + _SPREAD * min(residual**2, period**2)
    wide = max(4 * math.sqrt(track.variance), (0.15 if seen >= _SETTLED else 0.4) * period)
    off = ticks > 1 or abs(residual) > wide
    strays = track.strays + (1.0 if since >= period / 4 else _BUFFERED) if off else 0.0
    if strays >= _STRAYS:
        last = [step for step in track.steps if step > within][-4:]
        period = statistics.median(last)
        spread = statistics.fmean((gap - period) ** 2 for gap in last)
        return replace(
            track,
            tick_ms=at,
            period_ms=period,
            variance=max(spread, (_FIRST * period) ** 2),
            strays=0.0,
            ticks=2,
            steps=tuple(last),
        )
    if off and since < period / 4:  # a buffered frame is no tick at all
        return replace(track, strays=strays)
    if off and ticks == 1:  # keep the rhythm, trust it less
        return replace(track, tick_ms=track.tick_ms + period, period_ms=period, variance=variance, strays=strays)
    n = seen + 1
    g, h = max(_G, 2 * (2 * n - 1) / (n * (n + 1))), max(_H, 6 / (n * (n + 1)))
    return replace(
        track,
        tick_ms=at - (1 - g) * residual,
        period_ms=max(period + h * residual / ticks, 1e-3),
        ticks=n,
        variance=variance if ticks == 1 else track.variance,
        strays=strays,
    )


def _within_bursts(gaps: tuple[float, ...]) -> float:
    """Return the longest gap inside a burst, 0 if there are no bursts: the long gaps must have a rhythm themselves."""
    known = sorted(gaps)
    for below, (low, high) in enumerate(pairwise(known), 1):
        if high > _BURST * low and known[-1] < 3 * high:
            return low if 2 <= len(known) - below <= below else 0.0
    return 0.0


def forecast(track: Track, now_ms: float) -> Forecast | None:
    """Return when the next request should come; None while that is not known or the source has fallen silent.

    One that is overdue by no more than 2.5 standard deviations is still expected, at a time that has passed.
    """
    if track.period_ms <= 0 or now_ms - track.last_ms > _SILENT * max(track.period_ms, track.mean_ms):
        return None
    spread, period = math.sqrt(track.variance), track.period_ms
    if spread > _RHYTHM * period:
        spread = period = track.mean_ms
        next_ms = max(now_ms, track.began_ms + period)
    else:
        ticks = max(1, math.ceil((now_ms - _OVERDUE * spread - track.tick_ms) / period))
        next_ms = track.tick_ms + ticks * period
    if track.now_count < track.count and now_ms <= track.last_ms + _OVERDUE * track.inner_ms:  # the burst goes on
        next_ms, spread = track.last_ms + track.inner_ms, track.inner_ms / 2
    return Forecast(next_ms, spread, period, track.allowed_ms, track.count, track.live, track.priority)


class ArrivalForecaster:
    """The tracks of all sources; forgets one that has long been silent."""

    def __init__(self) -> None:
        self._tracks: dict[str, Track] = {}

    def observe(self, request: Request) -> None:
        """Take note of an arrival; each source's must come in the order of time."""
        self._tracks[request.source] = observe(self._tracks.get(request.source), request)

    def forecasts(self, now_ms: float) -> dict[str, Forecast]:
        """Return the forecast of each source that has one."""
        known: dict[str, Forecast] = {}
        for source, track in tuple(self._tracks.items()):
            found = forecast(track, now_ms)
            if found is not None:
                known[source] = found
            elif now_ms - track.last_ms > max(60_000.0, 100 * track.period_ms):
                del self._tracks[source]
        return known
