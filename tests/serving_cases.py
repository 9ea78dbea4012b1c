"""Serving in simulated time, and engines that tests hold up: for the tests of edge_runtime.inspect.serving."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from patience import PATIENCE

from edge_runtime.batching.vocabulary import BatchCost, CostTable, Decision, Drop, Request, State
from edge_runtime.inspect.fake_engine import FakeEngine
from edge_runtime.inspect.serving.core import Batch, Core
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Result

TABLE = CostTable(tuple(BatchCost(batch, lanes, 10.0 * batch) for lanes in (1, 2) for batch in (1, 2, 4)))


class StopWhen(Stop):
    """Ends a run as a user would, at a moment that the test says."""

    def __init__(self, over: Callable[[], bool]) -> None:
        super().__init__()
        self._over = over

    def __call__(self) -> bool:
        return super().__call__() or self._over()


class Greedy:
    """A policy: everything that waits, first come first served, `most` together; keeps what it was asked."""

    def __init__(self, most: int = 4) -> None:
        self.most = most
        self.states: list[State] = []

    def decide(self, state: State) -> Decision:
        self.states.append(state)
        if len(state.running) >= state.lanes:
            return Decision(why="busy")
        return Decision(run=state.waiting[: self.most])


class Scripted:
    """A policy that says what the test wrote, and then waits."""

    def __init__(self, *decisions: Decision | Callable[[State], Decision]) -> None:
        self._decisions = iter(decisions)

    def decide(self, state: State) -> Decision:
        decision = next(self._decisions, Decision())
        return decision(state) if callable(decision) else decision


@dataclass
class Simulated:
    """What happened in a simulation: batches in the order of their ends, drops, and when each request was done."""

    batches: list[Batch] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    done_ms: dict[int, float] = field(default_factory=dict)
    most_running: int = 0


def simulate(core: Core, arrivals: Sequence[Request], ms: Callable[[Batch], float]) -> Simulated:
    """Drive a core through arrivals in simulated time; a batch takes `ms`, one that is interrupted so much longer."""
    found, order = Simulated(), itertools.count()
    events: list[tuple[float, int, str, Any]] = []
    for request in arrivals:
        heapq.heappush(events, (request.arrived_ms, next(order), "arrive", request))
    lanes: dict[int, list[tuple[Batch, float]]] = {}

    def end(lane: int, at: float) -> None:
        heapq.heappush(events, (at, next(order), "end", lanes[lane][-1][0]))

    while events:
        now, _, kind, what = heapq.heappop(events)
        if kind == "arrive":
            core.arrive(what)
        elif kind == "end":
            stack = lanes[what.lane]
            if stack[-1][0].number != what.number:
                continue  # it was interrupted meanwhile: its end has moved
            batch, _ = stack.pop()
            core.finish(batch, now, ms(batch))
            found.batches.append(batch)
            found.done_ms |= {request.number: now for request in batch.requests}
            if stack:
                under, ends = stack[-1]
                stack[-1] = (under, ends + now - batch.started_ms)
                end(batch.lane, stack[-1][1])
        orders = core.decide(now)
        found.drops += orders.drops
        for batch in orders.starts:
            lanes.setdefault(batch.lane, []).append((batch, now + ms(batch)))
            end(batch.lane, now + ms(batch))
        found.most_running = max(found.most_running, sum(bool(stack) for stack in lanes.values()))
        if orders.wake_ms is not None and orders.wake_ms > now:
            heapq.heappush(events, (orders.wake_ms, next(order), "wake", None))
    return found


class HeldEngine(FakeEngine):
    """Lets no batch end until it is opened, and tells when one has begun; the red value of a picture names it."""

    def __init__(self, results: Sequence[Result] = (), lanes: int = 1, preemptible: bool = False) -> None:
        super().__init__(results, lanes=lanes)
        self.preemptible = preemptible
        self.seen: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.gates: dict[int, threading.Event] = {}
        self._lock = threading.Lock()

    def hold(self, name: int) -> threading.Event:
        """Return the event that the batch with this picture will wait for."""
        return self.gates.setdefault(name, threading.Event())

    def run(self, images: Sequence[np.ndarray], urgent: Any = None) -> list[Result]:
        names = [int(image[0, 0, 2]) for image in images]
        with self._lock:
            self.seen.append(names)
            results = super().run(images)
        self.begun.release()
        for name in names:
            if name in self.gates:
                assert self.gates[name].wait(PATIENCE)
        if urgent is not None and (call := urgent()) is not None:
            call(self.run)
        return results


def picture(name: int) -> np.ndarray:
    """A small picture that HeldEngine knows by its red value."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 2] = name
    return image
