"""The policy of edge-run: which of the waiting requests run together now, and whether to wait for one more."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.batching.aim import Aim, aim, arriving
from edge_runtime.batching.backlog import best_size
from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.triage import triage
from edge_runtime.batching.vocabulary import Decision, Drop, Forecast, Request, Running, State

__all__ = ["AdaptivePolicy"]

# A batch is expected to take so much longer than the table says: medians are exceeded half of the time.
_MARGIN = 1.04
_SURE = 2.0  # a frame will have come by its forecast and so many standard deviations
_LIKELY = 0.5  # ... will likely have come
_SPARE = 1.1  # a queue shrinks only if so much more is served than arrives
_EPSILON = 1e-3  # ms; nobody is woken for less
_NEVER = 1e15
_GAIN, _GAIN_UNSURE = (
    1.02,
    1.15,
)  # what one more image in a batch has to bring to be waited for; where none has a rhythm
_FREE = 1.01  # a larger batch that takes no longer than this costs nothing
_RHYTHM = 0.25  # of its period: a source with a larger spread has none


class AdaptivePolicy:
    """Keeps nothing but looked-up tables, which change no answer."""

    def __init__(self) -> None:
        self._costs: BatchCosts | None = None

    def decide(self, state: State) -> Decision:
        """Return what to do now. Raises UsageError for a table that cannot be used."""
        if self._costs is None or self._costs.table is not state.table:
            self._costs = BatchCosts(state.table)
        return _Case(state, self._costs).decide()


class _Case:
    """One question to the policy, with what follows from it."""

    def __init__(self, state: State, costs: BatchCosts) -> None:
        self.state, self.costs, self.now = state, costs, state.now_ms
        self.lanes = min(len(state.running) + 1, max(state.lanes, 1))
        soonest = self.now + costs.ms(1, self.lanes)
        if state.running:  # or alone, when a lane is free
            soonest = min(soonest, min(r.ends_ms for r in state.running) + costs.ms(1, max(len(state.running), 1)))
        sorted_ = triage(state.waiting, soonest)
        # What is urgent is answered even when it is late, before anything else.
        urgent = tuple(r for r in sorted_.late if r.priority == "urgent")
        self.ready = urgent + sorted_.ready
        self.late = tuple(r for r in sorted_.late if r.priority != "urgent")
        self.drops = list(sorted_.superseded)

    def ms(self, batch: int) -> float:
        return _MARGIN * self.costs.ms(batch, self.lanes)

    def decide(self) -> Decision:
        state = self.state
        self._drop_late()
        most = self.costs.largest
        # Late work runs last, but before the background's, which is in no hurry.
        in_gaps = bool(self.late) and all(r.priority == "background" for r in self.ready)
        order = self.late if in_gaps else self.ready
        if not order:
            return self._wait("nothing waits")
        first = order[0]
        busy = len(state.running) >= state.lanes
        if busy and not (first.priority == "urgent" and any(map(_can_stop, state.running))):
            return self._wait(f"{_lanes(state.lanes)} busy")
        group = tuple(r for r in order if r.shape == first.shape and r.priority == first.priority)
        if first.priority == "urgent":
            return self._run(self._in_time(group, most), "urgent", preempt=busy)
        if in_gaps or first.priority == "background":
            return self._fill_gap(group, most, late=in_gaps)
        return self._normal(group, most)

    def _drop_late(self) -> None:
        """Drop live frames that cannot be in time if anything else could use the time they would take."""
        kept = []
        for request in self.late:
            coming = self.state.forecasts.get(request.source)
            possible = request.deadline_ms - request.arrived_ms >= self.costs.ms(1, 1)
            newer = coming is not None and coming.next_ms < self.now + self.ms(1)
            if request.live and possible and (self.ready or newer):
                self.drops.append(Drop(request, "late"))
            else:
                kept.append(request)
        self.late = tuple(kept)

    def _normal(self, group: Sequence[Request], most: int) -> Decision:
        allowed = min(r.deadline_ms - r.arrived_ms for r in group)
        goal = self._goal(group, most, allowed)
        if len(self.state.running) >= goal.lanes:
            free = min(r.ends_ms for r in self.state.running)
            alone = _MARGIN * self.costs.ms(1, goal.lanes)
            enough = self.costs.rate(min(len(group), most), self.lanes) >= goal.arriving and goal.keeps_up
            helps = enough or free + alone > group[0].deadline_ms or self._replaced(group[0]) < free
            if not helps or self._harms() or self.now + self.ms(1) > group[0].deadline_ms:
                return self._wait(f"batches of {goal.batch} on {_lanes(goal.lanes)} serve most, and so many are busy")
        if len(group) < goal.batch:
            hold = self._hold(group, goal)
            if hold is not None:
                return hold
        size = self._size(group, most, goal)
        chosen: Sequence[Request] = group[:size]
        if self.now + self.costs.ms(size, self.lanes) > chosen[0].deadline_ms:
            chosen = self._most_in_time(group, size) or chosen
        chosen = self._topped_up(chosen, most)
        arrive = f"{1000 * goal.arriving:.0f} a second arrive, " if goal.arriving > 0 else ""
        return self._run(chosen, f"{arrive}the aim is batches of {goal.batch} on {_lanes(goal.lanes)}")

    def _topped_up(self, chosen: Sequence[Request], most: int) -> Sequence[Request]:
        """Add late work as far as it costs next to nothing: where weights are streamed, a larger batch is free."""
        alike = [r for r in self.late if r.shape == chosen[0].shape and r.priority == chosen[0].priority]
        size, enough = len(chosen), _FREE * self.costs.ms(len(chosen), self.lanes)
        while size < min(most, len(chosen) + len(alike)) and self.costs.ms(size + 1, self.lanes) <= enough:
            size += 1
        return (*chosen, *alike[: size - len(chosen)])

    def _size(self, group: Sequence[Request], most: int, goal: Aim) -> int:
        """Return how large the next batch of a queue should be."""
        used = max(goal.lanes, self.lanes)
        ends = sorted(r.ends_ms for r in self.state.running)
        lanes = [self.now, *ends[: used - 1]]
        lanes += [self.now] * (used - len(lanes))
        deadlines = [r.deadline_ms for r in group]
        begins = [self._replaced(r) for r in group]
        return best_size(self.costs, deadlines, begins, most, lanes, _SPARE * goal.arriving).batch

    def _replaced(self, request: Request) -> float:
        """When a newer frame of the same source takes this one's place, as far as that is foreseen.

        What is under way is safe from that. A source without a rhythm may send the next one at any time.
        """
        forecast = self.state.forecasts.get(request.source) if request.live else None
        if forecast is None:
            return _NEVER
        return max(forecast.next_ms - (forecast.spread_ms if _irregular(forecast) else 0.0), self.now)

    def _harms(self) -> bool:
        """Whether one more lane would slow a batch under way down beyond its earliest deadline."""
        for running in self.state.running:
            size = min(len(running.requests), self.costs.largest)
            pace = self.costs.ms(size, self.lanes) / self.costs.ms(size, max(self.lanes - 1, 1))
            earliest = min(r.deadline_ms for r in running.requests)
            if running.ends_ms <= earliest < self.now + (running.ends_ms - self.now) * pace:
                return True
        return False

    def _goal(self, group: Sequence[Request], most: int, allowed: float) -> Aim:
        coming = [f for f in self.state.forecasts.values() if f.priority != "background"]
        rate = arriving(coming)
        if all(r.live for r in group):  # one frame of each source at most waits at a time
            sources = {r.source for r in self.ready} | {s for s, f in self.state.forecasts.items() if f.live}
            most = min(most, max(len(sources), len(group)))
        together = max((f.count for f in coming), default=1)
        return aim(self.costs, rate, self.state.lanes, most, allowed / _MARGIN, together)

    def _hold(self, group: Sequence[Request], goal: Aim) -> Decision | None:
        """Wait for the next frame if it is sure to come while all of them can still be in time."""
        forecasts = self.state.forecasts
        unsure = any(r.live and r.source in forecasts and _irregular(forecasts[r.source]) for r in group)
        if self._gain(len(group), goal) < (_GAIN_UNSURE if unsure else _GAIN):
            return None
        waiting = {r.source for r in group if r.live}
        others = [(f, s) for s, f in forecasts.items() if s not in waiting and f.priority == "normal"]
        if not others or any(r.priority == "normal" and r.shape != group[0].shape for r in self.ready):
            return None
        nearest, source = min(others, key=lambda pair: (pair[0].next_ms, pair[1]))
        latest = group[0].deadline_ms - self.ms(min(len(group) + 1, self.costs.largest))
        # A batch too small to keep up costs a frame later on: then the next one only has to be likely to come in time.
        short = goal.tight and self.costs.rate(len(group), goal.lanes) < goal.arriving
        by = nearest.next_ms + (_LIKELY if short else _SURE) * nearest.spread_ms
        if max(by, self.now + _EPSILON) > latest:
            return None
        for request in group:  # a frame that is replaced meanwhile is lost
            if request.live and request.source in forecasts:
                own = forecasts[request.source]
                spread = 0.0 if short else _SURE * (own.spread_ms + nearest.spread_ms)
                if own.next_ms - spread < nearest.next_ms:
                    return None
        by = min(max(by, nearest.next_ms + 3 * nearest.spread_ms), latest)
        if by <= self.now + _EPSILON:  # it should have come by now
            return None
        why = f"{len(group)} of {goal.batch} wait {by - self.now:.1f} ms at most for {source}, "
        return self._wait(why + f"{latest - self.now:.1f} ms would still do", by)

    def _gain(self, size: int, goal: Aim) -> float:
        """How much more is served with one more image in a batch of `size`: per ms, or than by two batches."""
        if size >= self.costs.largest:
            return 1.0
        gain = self.costs.rate(size + 1, goal.lanes) / self.costs.rate(size, goal.lanes)
        if goal.keeps_up:
            apart = self.costs.ms(size, goal.lanes) + self.costs.ms(1, goal.lanes)
            gain = max(gain, apart / self.costs.ms(size + 1, goal.lanes))
        return gain

    def _in_time(self, group: Sequence[Request], most: int) -> Sequence[Request]:
        """Return the longest beginning of the group that meets its earliest deadline; one at least."""
        size = min(len(group), most)
        while size > 1 and self.now + self.ms(size) > group[0].deadline_ms:
            size -= 1
        return group[:size]

    def _most_in_time(self, group: Sequence[Request], most: int) -> Sequence[Request]:
        """Return the batch with the most answers in time per ms, leaving out who cannot be in time with it."""
        best: Sequence[Request] = ()
        best_rate = 0.0
        for size in range(1, min(most, len(group)) + 1):
            end = self.now + self.costs.ms(size, self.lanes)
            able = [r for r in group if r.deadline_ms >= end][:size]
            if len(able) == size and self.costs.rate(size, self.lanes) > 1.005 * best_rate:
                best, best_rate = able, self.costs.rate(size, self.lanes)
        return best

    def _fill_gap(self, group: Sequence[Request], most: int, late: bool) -> Decision:
        """Run background or late work, as much as is done before normal work would have to begin."""
        what = "late" if late else "background"
        if not late and self._harms():
            return self._wait("background work would make normal work that is under way late")
        coming = [f for f in self.state.forecasts.values() if f.priority != "background"]
        if not late:
            gap = min((self._needed(f) for f in coming), default=_NEVER)
        else:  # what comes while late work runs must still find time
            gap = self.now + min((f.allowed_ms for f in coming), default=_NEVER) - self.ms(1)
        best = self.costs.best_batch(self.lanes, most)
        size = min(len(group), best)
        while size > 0 and self.now + self.ms(size) > gap:
            size -= 1
        if size == 0 and late:
            size = 1
        if size == 0:
            return self._wait(f"{what} work does not fit before normal work in {gap - self.now:.1f} ms")
        return self._run(group[:size], f"{what}, normal work begins in {min(gap - self.now, 1e6):.0f} ms at the latest")

    def _needed(self, coming: Forecast) -> float:
        return max(coming.next_ms, self.now) + coming.allowed_ms - self.ms(1)

    def _run(self, chosen: Sequence[Request], why: str, preempt: bool = False) -> Decision:
        ms, left = self.costs.ms(len(chosen), self.lanes), chosen[0].deadline_ms - self.now
        text = f"{len(chosen)} of {len(self.state.waiting)} in {ms:.1f} ms, {left:.1f} ms are left; {why}"
        return Decision(tuple(chosen), tuple(self.drops), preempt=preempt, why=text)

    def _wait(self, why: str, wake: float | None = None) -> Decision:
        return Decision(drop=tuple(self.drops), wake_ms=wake, why=why)


def _irregular(forecast: Forecast) -> bool:
    return forecast.spread_ms > _RHYTHM * forecast.period_ms


def _lanes(count: int) -> str:
    return "1 lane" if count == 1 else f"{count} lanes"


def _can_stop(running: Running) -> bool:
    return running.preemptible and running.requests[0].priority == "background"
