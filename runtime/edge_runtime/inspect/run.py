"""The way of a frame, of one source and of many: source -> (wait, batch) -> judge -> record -> sinks -> summary.

What differs is who drives it: one thread that takes turns (in_turn.py), or readers and lanes (serving/). The stages are
the same, and so is the one owner of sources and sinks, which is here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.record import ModelIdentity
from edge_runtime.inspect.recorder import Recorder
from edge_runtime.inspect.sources.guard import GuardedSource
from edge_runtime.inspect.stop import Stop
from edge_runtime.inspect.summary import Summary
from edge_runtime.results import Judge

__all__ = ["Driver", "run"]


class Driver(Protocol):
    """Brings the frames of all feeds through the engine to the recorder; opens nothing and closes nothing of them."""

    @property
    def timed(self) -> bool:
        """Whether records and summary say when verdicts came, and what became of each source."""
        ...

    def __call__(self, engine: Judge, feeds: Sequence[Feed], recorder: Recorder, stop: Stop) -> None:
        """Return when all sources have ended, or `stop()` is true and what was read by then is recorded."""
        ...


def run(
    engine: Judge,
    feeds: Sequence[Feed],
    driver: Driver,
    summary: Summary,
    stop: Stop | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Judge every frame of the feeds, give it to its feed's sinks, count it in `summary`, close sinks and sources.

    Ends when all sources have, after each feed's `max_frames`, or when `stop()` is true, then with the frames already
    read judged. Whatever happens, the summary holds what was done, and every sink and source was closed once, but for a
    source whose reader hangs: that one is left to it, and the summary says so. The engine stays open.
    """
    stop = stop or Stop()
    started = clock()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_finish, summary, feeds, started, clock)
        guarded = [dataclasses.replace(feed, source=GuardedSource(feed.source)) for feed in feeds]
        for feed in guarded:
            cleanup.callback(_close, feed, summary)
            for sink in feed.sinks:
                cleanup.callback(sink.close)
        cleanup.callback(stop.end)  # a reader that waits for a frame need not
        model = ModelIdentity.of(engine.manifest, engine.bundle_sha256, engine.trust)
        driver(engine, guarded, Recorder(model, summary, guarded if driver.timed else ()), stop)


def _close(feed: Feed, summary: Summary) -> None:
    feed.source.close()
    if isinstance(feed.source, GuardedSource) and feed.source.left:
        summary.left.append(feed.name)


def _finish(summary: Summary, feeds: Sequence[Feed], started: float, clock: Callable[[], float]) -> None:
    summary.seconds = clock() - started
    for feed in feeds:
        if not summary.sources:
            summary.dropped += feed.source.dropped
        elif feed.source.dropped:
            summary.sources[feed.name].dropped["not taken in time"] += feed.source.dropped
