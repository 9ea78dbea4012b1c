"""The server's threads: lanes that run batches, and whoever submits frames. What is decided is core.py's business.

One lock guards the core; a lane that has nothing to do is the timer.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge_runtime.batching.vocabulary import Request
from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.serving.core import Batch, Core
from edge_runtime.inspect.serving.degrading import Degrading
from edge_runtime.inspect.serving.order import InOrder
from edge_runtime.inspect.serving.outcome import Outcome
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.ort.affinity import staying_on
from edge_runtime.results import Judge, RunCall, UrgentCall

__all__ = ["Server"]

_LONGEST_WAIT = 60.0  # seconds; a policy may say "never" in numbers
_NEVER_MS = 1e9  # a deadline where there is none: 11 days, a number that can be reckoned with
_SHORTEST_WAIT_MS = 0.2  # whatever a policy says: a lane that only waits must not keep a core busy


@dataclass(frozen=True, eq=False)
class _Item:
    feed: Feed
    frame: Frame
    ticket: int
    taken_ms: float
    degraded: tuple[str, ...]


class Server:
    """Runs what is submitted, batch by batch, on as many threads as the core has lanes.

    `outcomes` gives each feed's frames in the order in which they were submitted, dropped ones included; whoever takes
    one says so with `taken`, which is what lets the feed go on. None among them: something else has changed, such as
    `error`, after which nothing runs any more.
    """

    def __init__(
        self,
        engine: Judge,
        core: Core,
        degrading: Degrading,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` in seconds, that of the frames' `taken_s`."""
        self.error: BaseException | None = None
        self.outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._engine, self._core, self._clock = engine, core, clock
        self._degrading = degrading
        self._largest = max(cost.batch for cost in core.table.costs)
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._items: dict[int, _Item] = {}
        self._orders: dict[str, InOrder[Outcome]] = {}
        self._held: dict[str, int] = {}
        self._inboxes: list[deque[Batch]] = [deque() for _ in range(engine.lanes)]
        self._wake_ms: float | None = None
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._lane, args=(lane,), name=f"edgeline-lane-{lane}", daemon=True)
            for lane in range(engine.lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, feed: Feed, frame: Frame) -> bool:
        """Take a frame; waits while the feed holds as many as it may. False: the server is closing, and did not."""
        with self._changed:
            self._changed.wait_for(lambda: self._held.get(feed.name, 0) < feed.held or self._stopping)
            if self._stopping:
                return False
            self._held[feed.name] = self._held.get(feed.name, 0) + 1
            order = self._orders.setdefault(feed.name, InOrder())
            # A file's frames are there whenever they are read: their time begins here.
            taken = frame.taken_s * 1000 if feed.live else self._now_ms()
            looked_at, words = self._degrading.of(feed)
            item = _Item(feed, frame, order.draw(), taken, words)
            if frame.image is None:
                ((frame, result),) = judge(self._engine.run, [frame])
                self._leave(item, Outcome(feed, frame, result))
            elif not looked_at:
                self._leave(item, Outcome(feed, frame, None, "to keep up"))
            else:
                number = next(self._numbers)
                self._items[number] = item
                deadline = taken + min(feed.deadline_ms, _NEVER_MS)
                live = feed.live and not frame.wanted
                self._core.arrive(Request(number, feed.name, taken, deadline, feed.priority, live))
                self._guarded(self._decide)
            return True

    def taken(self, outcome: Outcome) -> None:
        """Say that an outcome was dealt with, and its frame let go."""
        with self._changed:
            self._held[outcome.feed.name] -= 1
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether every frame that was submitted has its outcome."""
        with self._changed:
            return self._core.idle

    def close(self) -> None:
        """End the lanes: batches that run end first, what waits stays undone."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _now_ms(self) -> float:
        return self._clock() * 1000

    def _decide(self) -> None:
        """Ask the core and hand out what it says. Under the lock."""
        now = self._now_ms()
        orders = self._core.decide(now)
        self._wake_ms = None if orders.wake_ms is None else max(orders.wake_ms, now + _SHORTEST_WAIT_MS)
        for drop in orders.drops:
            item = self._items.pop(drop.request.number)
            self._degrading.answered(item.feed, missed=True)
            self._leave(item, Outcome(item.feed, item.frame, None, drop.reason))
        self._degrading.observe(now, self._core.active, self._core.waiting / (self._largest * len(self._inboxes)))
        for batch in orders.starts:
            self._inboxes[batch.lane].append(batch)
        self._changed.notify_all()

    def _leave(self, item: _Item, outcome: Outcome) -> None:
        for ready in self._orders[item.feed.name].hand_in(item.ticket, outcome):
            self.outcomes.put(ready)

    def _lane(self, lane: int) -> None:
        with staying_on(self._engine.cores):
            while (batch := self._next(lane)) is not None:
                self._carry_out(batch, lambda images: self._engine.run(images, self._gap(lane)))

    def _next(self, lane: int) -> Batch | None:
        """Wait for this lane's next batch; None when there is none any more."""
        with self._changed:
            while not self._stopping:
                if self._inboxes[lane]:
                    return self._inboxes[lane].popleft()
                left = None if self._wake_ms is None else (self._wake_ms - self._now_ms()) / 1000
                if left is not None and left <= 0:
                    self._guarded(self._decide)
                    continue
                self._changed.wait(None if left is None else min(left, _LONGEST_WAIT))
            return None

    def _gap(self, lane: int) -> UrgentCall | None:
        """What the engine asks between two blocks: whether this lane was given something urgent meanwhile."""
        if not self._engine.preemptible:
            return None

        def urgent() -> Callable[[RunCall], None] | None:
            with self._changed:
                if not (self._inboxes[lane] and self._inboxes[lane][0].preempts):
                    return None
                batch = self._inboxes[lane].popleft()
            return lambda run: self._carry_out(batch, run)

        return urgent

    def _carry_out(self, batch: Batch, run: RunCall) -> None:
        """Judge a batch and let its frames leave. What goes wrong is kept in `error`: nobody waits for ever."""
        items = [self._items[request.number] for request in batch.requests]
        started = self._now_ms()
        try:
            judged = judge(run, [item.frame for item in items], self._largest)
        except BaseException as error:  # noqa: BLE001  # whatever it is: it is raised where the outcomes are read
            self.fail(error)
            return
        with self._changed:
            ended = self._now_ms()
            for request, item, (frame, result) in zip(batch.requests, items, judged, strict=True):
                del self._items[request.number]
                latency = ended - item.taken_ms
                missed = ended > request.deadline_ms
                self._degrading.answered(item.feed, missed)
                outcome = Outcome(item.feed, frame, result, "", latency, missed, len(items), item.degraded)
                self._leave(item, outcome)
            self._guarded(lambda: self._finish(batch, ended, ended - started))

    def _finish(self, batch: Batch, ended: float, took: float) -> None:
        self._core.finish(batch, ended, took)
        self._decide()

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  # as above: a policy's fault must not end a lane in silence
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Give up: `error` is for whoever takes the outcomes."""
        with self._changed:
            self.error = self.error or error
            self._stopping = True
            self._changed.notify_all()
        self.outcomes.put(None)
