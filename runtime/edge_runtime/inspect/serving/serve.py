"""Many sources, one engine: a thread reads each source, lanes judge, this thread writes the records."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.batching import AdaptivePolicy
from edge_runtime.batching.forecast import ArrivalForecaster
from edge_runtime.batching.vocabulary import CostTable, Policy
from edge_runtime.errors import SourceError
from edge_runtime.inspect.record import ModelIdentity, Served, make_record
from edge_runtime.inspect.serving.core import Core, Explain
from edge_runtime.inspect.serving.degrading import Degrading, ladder_of
from edge_runtime.inspect.serving.feed import Feed, Outcome
from edge_runtime.inspect.serving.refitting import Refitting
from edge_runtime.inspect.serving.server import Server
from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.summary import SourceFigures, Summary
from edge_runtime.results import Judge

__all__ = ["ServeOptions", "serve"]

_PATIENCE = 2.0  # seconds for a reader to end; one that hangs in a driver is left alone


@dataclass(frozen=True)
class ServeOptions:
    """`table`: what batches cost. `max_frames` of each source, None: no limit. `policy` None: edge-run's own.

    `plain`: records and summary are those of a single source that nothing is asked of but its verdicts.
    """

    table: CostTable
    plain: bool = False
    max_frames: int | None = None
    policy: Policy | None = None
    explain: Explain = lambda state, decision: None


def serve(
    engine: Judge,
    feeds: Sequence[Feed],
    sinks: Sequence[Sequence[Sink]],
    summary: Summary,
    options: ServeOptions,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Judge the frames of all feeds, give each to its feed's sinks in the order of its source, count it in `summary`.

    Ends when all sources have, or when `stop()` is true, then with the frames already read judged. A source that fails
    is said to be NO_READ, the others go on, and its SourceError is raised at the end. Whatever happens, the summary
    holds what was done, and every sink and source was closed.
    """
    model = ModelIdentity.of(engine.manifest, engine.bundle_sha256)
    names = {feed.name: index for index, feed in enumerate(feeds)}
    figures = {feed.name: SourceFigures() for feed in feeds}
    if not options.plain:
        summary.sources = figures
    failures: list[SourceError] = []
    started = clock()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_finish, summary, feeds, started, clock)
        for sink in [sink for several in sinks for sink in several]:
            cleanup.callback(sink.close)
        core = Core(
            options.policy or AdaptivePolicy(),
            Refitting(options.table),
            engine.lanes,
            engine.preemptible,
            ArrivalForecaster(),
            options.explain,
        )
        degrading = Degrading(ladder_of(feeds), engine.lanes)
        summary.degraded = degrading.said
        server = Server(engine, core, degrading, clock)
        readers = [_Reader(server, feed, options.max_frames, stop, failures) for feed in feeds]
        cleanup.callback(_end, readers)
        cleanup.callback(server.close)
        for reader in readers:
            reader.start()
        while server.error is None and not (_ended(readers) and server.idle and server.outcomes.empty()):
            outcome = server.outcomes.get()
            if outcome is not None:
                index = names[outcome.feed.name]
                _write(outcome, model, sinks[index], summary, figures[outcome.feed.name], options.plain)
                server.taken(outcome)
        if server.error is not None:
            raise server.error
    if failures:
        raise failures[0]


class _Reader:
    """A thread that submits a feed's frames, one after another."""

    def __init__(
        self,
        server: Server,
        feed: Feed,
        max_frames: int | None,
        stop: Callable[[], bool],
        failures: list[SourceError],
    ) -> None:
        self.feed = feed
        self._server, self._most, self._stop, self._failures = server, max_frames, stop, failures
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"edgeline-read {feed.name}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def join(self) -> bool:
        """Wait for the end, not for ever; tell whether it came."""
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
        return not self._thread.is_alive()

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
            for count, frame in enumerate(self.feed.source, 1):
                number = frame.frame_id
                if not self._server.submit(self.feed, frame) or self._stop() or count == self._most:
                    return
        except SourceError as error:
            self._failures.append(error)
            self._server.submit(self.feed, Frame(self.feed.name, number + 1, "lost", error=str(error)))


def _write(
    outcome: Outcome, model: ModelIdentity, sinks: Sequence[Sink], summary: Summary, figures: SourceFigures, plain: bool
) -> None:
    if outcome.result is None:
        figures.dropped[outcome.dropped] += 1
        return
    # Two sources may have one name: records tell them apart.
    frame = dataclasses.replace(outcome.frame, source=outcome.feed.name)
    served = Served(outcome.latency_ms, outcome.missed, outcome.degraded)
    record = make_record(frame, outcome.result, model, None if plain else served)
    read = frame.image is not None
    summary.add(record, read)
    figures.add(outcome.result.verdict, served if read else None, outcome.batch)
    for sink in sinks:
        sink.write(frame, outcome.result, record)


def _ended(readers: Sequence[_Reader]) -> bool:
    return all(reader.ended.is_set() for reader in readers)


def _end(readers: Sequence[_Reader]) -> None:
    for reader in readers:
        if reader.join():  # a capture must not be freed under a thread that reads from it
            reader.feed.source.close()


def _finish(summary: Summary, feeds: Sequence[Feed], started: float, clock: Callable[[], float]) -> None:
    summary.seconds = clock() - started
    for feed in feeds:
        if not summary.sources:
            summary.dropped += feed.source.dropped
        elif feed.source.dropped:
            summary.sources[feed.name].dropped["not taken in time"] += feed.source.dropped
