"""Requests, tables and forecasts for tests of batching."""

from __future__ import annotations

from edge_runtime.batching.vocabulary import BatchCost, CostTable, Priority, Request, Running, State

__all__ = ["FLAT", "GPU", "request", "running", "state", "table"]


def table(*rows: tuple[int, int, float]) -> CostTable:
    """Rows are (batch, lanes, ms)."""
    return CostTable(tuple(BatchCost(batch, lanes, ms) for batch, lanes, ms in rows))


# Half of a small batch is overhead; batching gains nothing.
GPU = table((1, 1, 6.0), (4, 1, 9.0), (8, 1, 13.0), (1, 2, 11.0), (4, 2, 17.0), (8, 2, 25.0))
FLAT = table((1, 1, 10.0), (8, 1, 80.0), (1, 2, 20.0), (8, 2, 160.0))


def request(
    number: int,
    source: str = "a",
    at: float = 0.0,
    allowed: float = 100.0,
    priority: Priority = "normal",
    live: bool = False,
    shape: tuple[int, ...] = (),
) -> Request:
    """A request that arrived at `at` and may take `allowed` ms."""
    return Request(number, source, at, at + allowed, priority, live, shape)


def running(*requests: Request, ends: float = 50.0, preemptible: bool = True) -> Running:
    """A batch under way since 0."""
    return Running(requests, 0.0, ends, preemptible)


def state(*waiting: Request, now: float = 0.0, costs: CostTable = GPU, lanes: int = 1) -> State:
    """An idle server with this queue."""
    return State(now, waiting, (), costs, lanes)
