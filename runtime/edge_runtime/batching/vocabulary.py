"""The words of batching: requests wait, a policy decides which of them run together, and says why. Plain data.

Times are milliseconds of one clock that never goes back (the server's, or simulated).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, Union

__all__ = [
    "BatchCost",
    "CostTable",
    "Decision",
    "Drop",
    "Forecast",
    "Policy",
    "Priority",
    "Request",
    "Running",
    "State",
]

Priority = Literal["urgent", "normal", "background"]


@dataclass(frozen=True)
class Request:
    """One image, or one tile of it, that waits for the model.

    `number` counts up with arrival. `live`: a newer request of the same `source` makes this one worthless; newer is
    what arrived later: tiles of one frame share their `arrived_ms`. Only requests of one `shape` go into one batch.
    """

    number: int
    source: str
    arrived_ms: float
    deadline_ms: float
    priority: Priority = "normal"
    live: bool = False
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class BatchCost:
    """A batch of `batch` takes `ms` while `lanes` of them run at a time."""

    batch: int
    lanes: int
    ms: float


@dataclass(frozen=True)
class CostTable:
    """What was measured, ascending by lanes and batch. `lanes` 1 is always there."""

    costs: tuple[BatchCost, ...]


@dataclass(frozen=True)
class Running:
    """A batch under way on one lane; `ends_ms` is when it should be done. `preemptible`: it can stop between blocks."""

    requests: tuple[Request, ...]
    started_ms: float
    ends_ms: float
    preemptible: bool = False


@dataclass(frozen=True)
class Forecast:
    """When a source's next request should come, and by how much (one standard deviation) that may be wrong.

    `period_ms` from one arrival to the next, 0 where that is not known; `count` requests (tiles) come with each, to be
    answered within `allowed_ms` (0: not known). `live` and `priority` as its last request had them.
    """

    next_ms: float
    spread_ms: float
    period_ms: float = 0.0
    allowed_ms: float = 0.0
    count: int = 1
    live: bool = False
    priority: Priority = "normal"


@dataclass(frozen=True)
class State:
    """What a policy sees. `lanes`: how many batches may run at a time."""

    now_ms: float
    waiting: tuple[Request, ...]
    running: tuple[Running, ...]
    table: CostTable
    lanes: int = 1
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """A request that will not run, and why: "superseded", "late", "overload"."""

    request: Request
    reason: str


@dataclass(frozen=True)
class Decision:
    """Run these now on a free lane (none: wait), drop those, ask again at `wake_ms` at the latest (None: at the next
    arrival or end). `preempt`: stop the background batch under way between two blocks first. `why` is for people.
    """

    run: tuple[Request, ...] = ()
    drop: tuple[Drop, ...] = ()
    wake_ms: Union[float, None] = None
    preempt: bool = False
    why: str = ""


class Policy(Protocol):
    """Decides; no clock, no threads, no memory of its own but what it says it keeps."""

    def decide(self, state: State) -> Decision:
        """Return what to do now; asked again after each batch that it starts, as long as a lane is free."""
        ...
