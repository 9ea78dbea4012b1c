"""Many sources, one engine: a thread reads each source, lanes judge, this thread writes the records."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.batching import AdaptivePolicy
from edge_runtime.batching.forecast import ArrivalForecaster
from edge_runtime.batching.vocabulary import CostTable, Policy
from edge_runtime.errors import SourceError
from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.record import Served
from edge_runtime.inspect.recorder import Recorder
from edge_runtime.inspect.serving.core import Core, Explain
from edge_runtime.inspect.serving.degrading import Degrading, ladder_of
from edge_runtime.inspect.serving.outcome import Outcome
from edge_runtime.inspect.serving.refitting import Refitting
from edge_runtime.inspect.serving.server import Server
from edge_runtime.inspect.sources import guard
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Judge

__all__ = ["Serving"]

_LOOK_AGAIN = 0.5  # seconds between two looks whether the run was stopped, where nothing comes


@dataclass(frozen=True)
class Serving:
    """A driver (run.Driver). `table`: what batches cost. `policy` None: edge-run's own.

    `timed` False: records and summary are those of a single source that nothing is asked of but its verdicts.
    """

    table: CostTable
    timed: bool = True
    policy: Policy | None = None
    explain: Explain = lambda state, decision: None
    clock: Callable[[], float] = time.monotonic

    def __call__(self, engine: Judge, feeds: Sequence[Feed], recorder: Recorder, stop: Stop) -> None:
        """Judge the frames of all feeds; each feed's are recorded in the order of its source.

        A source that fails is said to be NO_READ, the others go on, and its SourceError is raised at the end.
        """
        core = Core(
            self.policy or AdaptivePolicy(),
            Refitting(self.table),
            engine.lanes,
            engine.preemptible,
            ArrivalForecaster(),
            self.explain,
        )
        degrading = Degrading(ladder_of(feeds), engine.lanes)
        recorder.summary.degraded = degrading.said
        server = Server(engine, core, degrading, self.clock)
        with contextlib.closing(server):
            readers = [_Reader(server, feed, stop) for feed in feeds]
            self._record(server, readers, recorder, stop)
        failures = [reader.failure for reader in readers if reader.failure is not None]
        if failures:
            raise failures[0]

    def _record(self, server: Server, readers: Sequence[_Reader], recorder: Recorder, stop: Stop) -> None:
        """Write what comes out until nothing more does. Raises what went wrong in another thread."""
        stopped: float | None = None
        while server.error is None:
            ended = all(reader.ended.is_set() for reader in readers)
            if stopped is None and stop():
                stopped = self.clock()
            given_up = stopped is not None and self.clock() - stopped > guard.PATIENCE
            if (ended or given_up) and server.idle and server.outcomes.empty():
                return
            with contextlib.suppress(queue.Empty):
                outcome = server.outcomes.get(timeout=_LOOK_AGAIN)
                if outcome is not None:
                    _write(outcome, recorder)
                    server.taken(outcome)
        raise server.error


class _Reader:
    """A thread that submits a feed's frames, one after another. One that hangs ends with the process."""

    def __init__(self, server: Server, feed: Feed, stop: Stop) -> None:
        self._server, self._feed, self._stop = server, feed, stop
        self.failure: SourceError | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._work, name=f"edgeline-read {feed.name}", daemon=True).start()

    def _work(self) -> None:
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001  # raised where the outcomes are taken
            self._server.fail(error)
        finally:
            self.ended.set()
            self._server.outcomes.put(None)

    def _read(self) -> None:
        number = -1
        try:
            for frame in self._feed.frames():
                number = frame.frame_id
                if not self._server.submit(self._feed, frame) or self._stop():
                    return
        except SourceError as error:
            self.failure = error
            self._server.submit(self._feed, Frame(self._feed.name, number + 1, "lost", error=str(error)))


def _write(outcome: Outcome, recorder: Recorder) -> None:
    if outcome.result is None:
        recorder.dropped(outcome.feed, outcome.dropped)
    else:
        served = Served(outcome.latency_ms, outcome.missed, outcome.degraded, outcome.batch)
        recorder.write(outcome.feed, outcome.frame, outcome.result, served)
