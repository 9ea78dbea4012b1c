"""One scenario: a trace, a service and a load; every policy plays it, and the best fixed setting is found in hindsight.

What counts, for all alike. A request that is not answered by its deadline is a miss, whatever became of it: dropped,
superseded by a newer frame, answered late or never. Throughput is answers per second, late ones included. The first and
the last twentieth of the requests are played but not counted: there a forecast knows nothing yet, and a queue may be
emptied without anything coming behind it.

The best fixed setting is that with the most answers in time per second (goodput) of all batches x timeouts x lanes; of
equal ones that with the smallest 99th percentile. Both of its figures are what ours is held against: throughput at
least 0.95 of its, misses not above its. Beside it stand the settings with the most throughput and with the fewest
misses, which may be others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge_runtime.batching.costs import BatchCosts
from edge_runtime.batching.policy import AdaptivePolicy
from edge_runtime.batching.vocabulary import Request
from edge_tools.batching_bench.baselines import Aimd, Fixed, Triton
from edge_tools.batching_bench.services import SERVICES, capacity, scaled
from edge_tools.batching_bench.simulate import Contender, Outcome, Service, simulate
from edge_tools.batching_bench.traces import PERIOD_MS, TRACES, requests

__all__ = ["OURS", "Result", "Scenario", "Score", "play", "scenario", "score"]

OURS = "edgeline"
_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_EDGE = 20  # a twentieth at each end is not counted


@dataclass(frozen=True)
class Scenario:
    """`load`: what arrives, as a part of what the service can do at most with such arrivals."""

    trace: str
    load: float
    seed: int
    service: Service
    requests: tuple[Request, ...]
    allowed_ms: float

    @property
    def name(self) -> str:
        """The trace, the service and the load in one."""
        return f"{self.trace} {self.service.name} {self.load:g}"


@dataclass(frozen=True)
class Score:
    """Answers per second, and of them in time; `missed` of `asked` requests."""

    name: str
    throughput: float
    goodput: float
    missed: int
    asked: int
    p99_ms: float
    mean_batch: float

    @property
    def miss_rate(self) -> float:
        """The part of the requests that was not answered in time."""
        return self.missed / self.asked


@dataclass(frozen=True)
class Result:
    """`best` fixed setting by goodput, `fastest` by throughput, `surest` by misses; `others` and `ours`."""

    scenario: Scenario
    best: Score
    fastest: Score
    surest: Score
    others: tuple[Score, ...]
    ours: Score

    @property
    def fast_enough(self) -> bool:
        """Whether our throughput is at least 0.95 of the best fixed setting's."""
        return self.ours.throughput >= 0.95 * self.best.throughput

    @property
    def sure_enough(self) -> bool:
        """Whether ours misses no more deadlines than the best fixed setting."""
        return self.ours.missed <= self.best.missed


def scenario(trace: str, service: str, load: float, seed: int, noise: float = 0.0) -> Scenario:
    """Make one: the service is slowed down or sped up until the trace is `load` of its capacity.

    A request may take two frame periods, or longer where the service cannot do it in that: twice the time of the batch
    that its capacity needs, and one and a half times what the images that come together take.
    """
    arrivals = TRACES[trace](random.Random(f"{trace} {seed}"))
    made = SERVICES[service]
    most, _ = capacity(made, arrivals.together)
    made = replace(scaled(made, load * most / arrivals.rate), noise=noise)
    most, takes = capacity(made, arrivals.together)
    allowed = max(2 * PERIOD_MS, 2 * takes, 1.5 * arrivals.together / most)
    return Scenario(trace, load, seed, made, requests(arrivals, allowed), allowed)


def play(case: Scenario) -> Result:
    """Let every policy play it."""
    fixed = [score(case, player) for player in _fixed(case)]
    best = max(fixed, key=lambda found: (found.goodput, -found.p99_ms))
    return Result(
        scenario=case,
        best=best,
        fastest=max(fixed, key=lambda found: (found.throughput, -found.missed)),
        surest=min(fixed, key=lambda found: (found.missed, -found.throughput)),
        others=tuple(score(case, player) for player in _others(case)),
        ours=score(case, Contender(OURS, AdaptivePolicy(), forecasts=True)),
    )


def score(case: Scenario, player: Contender) -> Score:
    """Let one policy play the scenario."""
    return _judge(case, player.name, simulate(case.requests, case.service, player, case.seed))


def _judge(case: Scenario, name: str, outcome: Outcome) -> Score:
    cut = len(case.requests) // _EDGE
    counted = case.requests[cut : len(case.requests) - cut]
    begin, end = counted[0], counted[-1]
    answers = [(r, at) for r, at in outcome.answers if begin.number <= r.number <= end.number]
    in_time = sum(at <= r.deadline_ms for r, at in answers)
    seconds = (end.arrived_ms - begin.arrived_ms) / 1000
    delays = sorted(at - r.arrived_ms for r, at in answers)
    return Score(
        name=name,
        throughput=sum(begin.arrived_ms < at <= end.arrived_ms for _, at in outcome.answers) / seconds,
        goodput=in_time / seconds,
        missed=len(counted) - in_time,
        asked=len(counted),
        p99_ms=delays[int(0.99 * (len(delays) - 1))] if delays else 0.0,
        mean_batch=sum(outcome.batches) / max(len(outcome.batches), 1),
    )


def _fixed(case: Scenario) -> Iterator[Contender]:
    """Every fixed setting: how many at a time, how long the first of them waits for the others, on how many lanes.

    Of live cameras one frame each waits at most: batches that can never be full are all the same, so one of them does.
    """
    costs = BatchCosts(case.service.table)
    waits = (0.0, *(case.allowed_ms * part for part in (1 / 8, 1 / 4, 1 / 2)), None)
    sources = len({request.source for request in case.requests})
    most = next((b for b in _BATCHES if b > sources), _BATCHES[-1]) if case.requests[0].live else _BATCHES[-1]
    for lanes in range(1, case.service.lanes + 1):
        for batch in (size for size in _BATCHES if size <= most):
            for wait in waits[: 1 if batch == 1 else None]:
                if batch <= costs.largest:
                    words = "until full" if wait is None else f"{wait:.0f} ms"
                    yield Contender(f"batch {batch}, {words}, {lanes} lanes", Fixed(costs, batch, wait, lanes))


def _others(case: Scenario) -> Iterator[Contender]:
    """The rules of others with the settings that their documentation begins with, on all lanes."""
    costs, lanes, allowed = BatchCosts(case.service.table), case.service.lanes, case.allowed_ms
    yield Contender("batch 1", Fixed(costs, 1, 0.0, lanes))
    yield Contender("batch 8, until full", Fixed(costs, 8, None, lanes))
    aimd = Aimd(costs, allowed / 2, lanes)
    yield Contender("AIMD (Clipper)", aimd, finished=aimd.finished)
    yield Contender("timeout (TF Serving)", Fixed(costs, costs.largest, allowed / 4, lanes))
    yield Contender("dynamic (Triton)", Triton(costs, (4, 8), allowed / 4, lanes))
