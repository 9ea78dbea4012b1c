"""A server in simulated time: requests arrive as a trace says, a policy decides, lanes compute. Deterministic.

Batches that run at the same time slow each other down as the cost table says: with k of them under way, each advances
by 1 / ms(batch, k) of itself per millisecond, so that a start or an end changes the pace of the others at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.forecast import ArrivalForecaster
from edge_runtime.batching.vocabulary import CostTable, Decision, Drop, Policy, Request, Running, State

__all__ = ["Contender", "Outcome", "Service", "simulate"]

_END = float("inf")


@dataclass(frozen=True)
class Service:
    """What computes: `table` as measured, `lanes` at most, and the standard deviation of a duration as a part of it."""

    name: str
    table: CostTable
    lanes: int
    noise: float = 0.02


@dataclass(frozen=True)
class Contender:
    """A policy in the contest. `finished`, where it learns, is told each batch's size and duration in ms."""

    name: str
    policy: Policy
    forecasts: bool = False
    finished: Callable[[int, float], None] | None = None


@dataclass
class Outcome:
    """`answers`: each request that ran and when it was done; `batches`: the sizes; `decisions` only where asked for."""

    answers: list[tuple[Request, float]] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    left: list[Request] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    decisions: list[tuple[State, Decision]] = field(default_factory=list)


class _Lane:
    """A batch under way: `left` is the part of it that is still to do, in milliseconds as if it were alone."""

    __slots__ = ("ends", "left", "noise", "requests", "started")

    def __init__(self, requests: tuple[Request, ...], started: float, noise: float) -> None:
        self.requests = requests
        self.started = started
        self.noise = noise
        self.left = 1.0
        self.ends = _END


def simulate(
    requests: Sequence[Request], service: Service, contender: Contender, seed: int = 0, keep: bool = False
) -> Outcome:
    """Play `requests` (ascending by arrival) until nothing is left that the policy would run."""
    costs = BatchCosts(service.table)
    chance = random.Random(seed)
    forecaster = ArrivalForecaster() if contender.forecasts else None
    decide, outcome = contender.policy.decide, Outcome()
    waiting: list[Request] = []
    lanes: list[_Lane] = []
    now, wake, coming, total = 0.0, _END, 0, len(requests)
    while True:
        ends = min((lane.ends for lane in lanes), default=_END)
        arrives = requests[coming].arrived_ms if coming < total else _END
        then = min(ends, arrives, wake)
        if then == _END:
            break
        if then > now:
            for lane in lanes:
                pace = costs.ms(len(lane.requests), len(lanes)) * lane.noise
                lane.left -= (then - now) / pace
            now = then
        if ends <= now:
            for lane in [lane for lane in lanes if lane.ends <= now]:
                lanes.remove(lane)
                outcome.answers += [(request, now) for request in lane.requests]
                outcome.batches.append(len(lane.requests))
                if contender.finished is not None:
                    contender.finished(len(lane.requests), now - lane.started)
            _pace(lanes, costs, now)
        while coming < total and requests[coming].arrived_ms <= now:
            waiting.append(requests[coming])
            if forecaster is not None:
                forecaster.observe(requests[coming])
            coming += 1
        wake = _END
        while waiting and (len(lanes) < service.lanes or any(r.priority == "urgent" for r in waiting)):
            running = tuple(Running(lane.requests, lane.started, lane.ends, True) for lane in lanes)
            forecasts = {} if forecaster is None else forecaster.forecasts(now)
            state = State(now, tuple(waiting), running, service.table, service.lanes, forecasts)
            decision = decide(state)
            if keep:
                outcome.decisions.append((state, decision))
            gone = {request.number for request in decision.run}
            if decision.drop:
                outcome.drops += decision.drop
                gone.update(drop.request.number for drop in decision.drop)
            if gone:
                waiting = [request for request in waiting if request.number not in gone]
            if decision.preempt:
                stopped = next(lane for lane in lanes if lane.requests[0].priority == "background")
                lanes.remove(stopped)
                waiting += stopped.requests  # the worst case: it begins again from its first block
            if not decision.run:
                if decision.wake_ms is not None:
                    wake = max(decision.wake_ms, now + 1e-6)
                _pace(lanes, costs, now)
                break
            lanes.append(_Lane(decision.run, now, max(0.5, chance.gauss(1.0, service.noise))))
            _pace(lanes, costs, now)
    outcome.left = waiting
    return outcome


def _pace(lanes: list[_Lane], costs: BatchCosts, now: float) -> None:
    for lane in lanes:
        lane.ends = now + lane.left * costs.ms(len(lane.requests), len(lanes)) * lane.noise
