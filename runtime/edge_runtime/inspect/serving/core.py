"""The server's logic without threads, clock or pictures: requests arrive, batches start and end, a policy is asked.

Whoever drives it says what the time is (milliseconds of one clock), so that the same logic runs behind cameras and in
simulated time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.vocabulary import (
    CostTable,
    Decision,
    Drop,
    Forecast,
    Policy,
    Request,
    Running,
    State,
)
from edge_runtime.errors import EngineError

__all__ = ["Batch", "Core", "Explain", "Forecaster", "Orders", "Refit"]

_ASK_AGAIN_MS = 20.0

# Told of every decision with what it was made from.
Explain = Callable[[State, Decision], None]


class Forecaster(Protocol):
    """Guesses when each source's next request comes."""

    def observe(self, request: Request) -> None:
        """Learn of an arrival."""
        ...

    def forecasts(self, now_ms: float) -> Mapping[str, Forecast]:
        """Return what is expected, by source."""
        ...


class Refit(Protocol):
    """Keeps the table true while clocks and temperature change."""

    @property
    def table(self) -> CostTable:
        """The table as it is now."""
        ...

    def measured(self, batch: int, lanes: int, ms: float, now_ms: float) -> None:
        """Learn what a batch really took while `lanes` ran from its start to its end."""
        ...


class _NoForecasts:
    def observe(self, request: Request) -> None:
        """Nothing is learnt."""

    def forecasts(self, now_ms: float) -> Mapping[str, Forecast]:
        return {}


@dataclass(frozen=True)
class _Fixed:
    table: CostTable

    def measured(self, batch: int, lanes: int, ms: float, now_ms: float) -> None:
        """The table stays."""


@dataclass(frozen=True)
class Batch:
    """Requests that run together on a lane. `preempts`: between two blocks of the batch that the lane is at."""

    number: int
    lane: int
    requests: tuple[Request, ...]
    started_ms: float
    ends_ms: float
    preempts: bool = False


@dataclass(frozen=True)
class Orders:
    """What to do now: start these batches, tell that those requests are dropped, ask again at `wake_ms`."""

    starts: tuple[Batch, ...] = ()
    drops: tuple[Drop, ...] = ()
    wake_ms: float | None = None


class Core:
    """Keeps what waits and what runs. Not safe for several threads."""

    def __init__(
        self,
        policy: Policy,
        table: CostTable | Refit,
        lanes: int = 1,
        preemptible: bool = False,
        forecaster: Forecaster | None = None,
        explain: Explain = lambda state, decision: None,
    ) -> None:
        """`preemptible`: the engine can put a batch aside between two blocks."""
        self._policy, self._preemptible, self._explain = policy, preemptible, explain
        self._refit: Refit = _Fixed(table) if isinstance(table, CostTable) else table
        self._costs = BatchCosts(self._refit.table)
        self._forecaster: Forecaster = forecaster or _NoForecasts()
        self._waiting: dict[int, Request] = {}
        # Of each lane what it is at; a batch that was put aside lies below the one that it makes way for.
        self._lanes: list[list[Batch]] = [[] for _ in range(lanes)]
        # Of each batch under way: how many lanes have been at work since its start; None where that has changed, or it
        # was put aside: its time says nothing then.
        self._steady: dict[int, int | None] = {}
        self._numbers = itertools.count()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not any(self._lanes)

    @property
    def table(self) -> CostTable:
        """What batches cost, as far as is known now."""
        return self._refit.table

    @property
    def active(self) -> int:
        """How many lanes are at work."""
        return sum(map(bool, self._lanes))

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def arrive(self, request: Request) -> None:
        """Take one request; `decide` says what becomes of it."""
        self._waiting[request.number] = request
        if request.live:  # what is read as fast as it is judged has no rhythm of its own
            self._forecaster.observe(request)

    def finish(self, batch: Batch, now_ms: float, took_ms: float | None = None) -> None:
        """Learn that a batch is done; `took_ms` is what it took by itself, None where that is not known."""
        stack = self._lanes[batch.lane]
        place = next(index for index, other in enumerate(stack) if other.number == batch.number)
        ended = stack.pop(place)
        if place and place == len(stack):  # what it was put in front of goes on
            under = stack[-1]
            stack[-1] = replace(under, ends_ms=under.ends_ms + now_ms - ended.started_ms)
        lanes = self._steady.pop(ended.number)
        if took_ms is not None and took_ms > 0 and lanes is not None:
            self._refit.measured(len(ended.requests), lanes, took_ms, now_ms)

    def decide(self, now_ms: float) -> Orders:
        """Ask the policy until it starts nothing more. Raises EngineError for a decision that cannot be carried out."""
        starts: list[Batch] = []
        drops: list[Drop] = []
        while True:
            state = self._state(now_ms)
            decision = self._policy.decide(state)
            self._explain(state, decision)
            for drop in decision.drop:
                if self._waiting.pop(drop.request.number, None) is None:
                    raise EngineError(f"the policy drops request {drop.request.number}, which does not wait")
                drops.append(drop)
            if not decision.run:
                self._watch(starts)
                wake = decision.wake_ms
                if wake is None and self._waiting and not self.active:  # nothing else would ever come of it
                    wake = now_ms + _ASK_AGAIN_MS
                return Orders(tuple(starts), tuple(drops), wake)
            starts.append(self._start(decision, now_ms))

    def _watch(self, started: Sequence[Batch]) -> None:
        """Keep whose time still says what a batch takes while so many lanes run."""
        active = self.active
        self._steady |= {batch.number: active for batch in started}
        for number, lanes in self._steady.items():
            if lanes != active:
                self._steady[number] = None
        for stack in self._lanes:
            self._steady |= {batch.number: None for batch in stack[:-1]}

    def _state(self, now_ms: float) -> State:
        return State(
            now_ms,
            tuple(self._waiting.values()),
            tuple(self._running(stack) for stack in self._lanes if stack),
            self._refit.table,
            len(self._lanes),
            self._forecaster.forecasts(now_ms),
        )

    def _running(self, stack: Sequence[Batch]) -> Running:
        top = stack[-1]
        # What lies below goes on afterwards, on the same lane.
        after = sum(batch.ends_ms - upper.started_ms for batch, upper in itertools.pairwise(stack))
        return Running(top.requests, top.started_ms, top.ends_ms + max(after, 0.0), self._can_wait(stack))

    def _can_wait(self, stack: Sequence[Batch]) -> bool:
        background = all(request.priority == "background" for request in stack[-1].requests)
        return self._preemptible and len(stack) == 1 and background

    def _start(self, decision: Decision, now_ms: float) -> Batch:
        for request in decision.run:
            if self._waiting.pop(request.number, None) is None:
                raise EngineError(f"the policy runs request {request.number}, which does not wait")
        free = [lane for lane, stack in enumerate(self._lanes) if not stack]
        if free:
            lane, preempts = free[0], False
        elif decision.preempt and (able := [lane for lane, stack in enumerate(self._lanes) if self._can_wait(stack)]):
            # The one that has longest to go gains nothing by being left alone.
            lane, preempts = max(able, key=lambda index: self._lanes[index][-1].ends_ms), True
        else:
            raise EngineError(f"the policy starts {len(decision.run)} requests, and no lane is free or can be freed")
        active = self.active + (not preempts)
        if self._costs.table is not self._refit.table:
            self._costs = BatchCosts(self._refit.table)
        ends = now_ms + self._costs.ms(min(len(decision.run), self._costs.largest), active)
        batch = Batch(next(self._numbers), lane, decision.run, now_ms, ends, preempts)
        self._lanes[lane].append(batch)
        return batch
