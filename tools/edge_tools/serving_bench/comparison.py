"""Capacity first, then the same paced streams under each policy, turn by turn on one engine."""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime import Engine
from edge_runtime.batching import AdaptivePolicy, BatchCosts
from edge_runtime.batching.vocabulary import CostTable, Policy
from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.record import Record
from edge_runtime.inspect.run import run
from edge_runtime.inspect.serving import Serving, frames_held, measure_costs
from edge_runtime.inspect.sources import Frame, RealtimeSource
from edge_runtime.inspect.summary import Summary
from edge_runtime.results import Result
from edge_tools.batching_bench.baselines import Fixed
from edge_tools.serving_bench.streams import LoopedVideo

__all__ = ["Report", "Row", "Setup", "measure"]

OURS = "edgeline"


@dataclass(frozen=True)
class Setup:
    """`streams` videos at `load` times the capacity. `seconds` of each policy and round; `deadline_ms` None: a verdict
    is in time while the stream's next frame has not come. `largest`: images together at most."""

    videos: tuple[Path, ...]
    streams: int = 8
    load: float = 0.9
    seconds: float = 10.0
    rounds: int = 2
    deadline_ms: float | None = None
    largest: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One policy, all rounds: latency from a frame's moment to its verdict; `in_time` of the frames that came, 0..1,
    dropped ones counted as not in time; `p99_met`: 99 % of them were."""

    name: str
    frames: int
    offered_fps: float
    p50_ms: float
    p99_ms: float
    missed: int
    dropped: int
    in_time: float
    mean_batch: float
    p99_met: bool


@dataclass(frozen=True)
class Report:
    """`capacity_fps`: verdicts per second of all streams read as fast as they are judged, decoding included (median of
    the rounds). `table`: (batch, lanes, ms) as measured. `deadline_ms`: of the first round."""

    streams: int
    load: float
    capacity_fps: float
    deadline_ms: float
    lanes: int
    table: tuple[tuple[int, int, float], ...]
    rows: tuple[Row, ...]


class _Latencies:
    """A sink that keeps the latencies."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        self.ms.append(record["latency_ms"])

    def close(self) -> None:
        """There is nothing to finish."""


@dataclass
class _Tally:
    """What one policy did so far."""

    ms: list[float] = dataclasses.field(default_factory=list)
    offered: list[float] = dataclasses.field(default_factory=list)
    batches: float = 0.0
    missed: int = 0
    dropped: int = 0

    def row(self, name: str) -> Row:
        count = len(self.ms)
        came = count + self.dropped
        p50, p99 = np.percentile(self.ms, [50, 99]) if self.ms else (0.0, 0.0)
        in_time = (count - self.missed) / came if came else 0.0
        offered = statistics.fmean(self.offered)
        batch = count / self.batches if self.batches else 0.0
        met = in_time >= 0.99
        return Row(name, count, offered, float(p50), float(p99), self.missed, self.dropped, in_time, batch, met)


def measure(engine: Engine, setup: Setup, say: Callable[[str], None] = lambda text: None) -> Report:
    """Measure; `say` is told what is done. Raises SourceError for videos that cannot be read."""
    first = next(iter(LoopedVideo(setup.videos[0], "first", 1)))
    if first.image is None:
        raise ValueError("a looped video gives pictures only")
    table = measure_costs(engine, first.image, setup.largest)
    tallies: dict[str, _Tally] = {}
    capacities, deadlines = [], []
    rng = random.Random(setup.seed)
    for turn in range(setup.rounds):
        capacity = _capacity(engine, setup, table)
        capacities.append(capacity)
        fps = setup.load * capacity / setup.streams
        deadline = setup.deadline_ms or 1000.0 / fps
        deadlines.append(deadline)
        phases = [rng.random() / fps for _ in range(setup.streams)]
        policies = list(_policies(table, engine.lanes, deadline).items())
        rng.shuffle(policies)
        for name, policy in policies:
            say(f"round {turn + 1} of {setup.rounds}: {capacity:.1f} frames/s is the capacity, now {name}")
            _play(engine, setup, table, policy, fps, deadline, phases, tallies.setdefault(name, _Tally()))
    rows = [tally.row(name) for name, tally in tallies.items()]
    rows.sort(key=lambda row: (row.name != OURS, row.name))
    costs = tuple((cost.batch, cost.lanes, round(cost.ms, 3)) for cost in table.costs)
    return Report(
        setup.streams, setup.load, statistics.median(capacities), deadlines[0], engine.lanes, costs, tuple(rows)
    )


def _policies(table: CostTable, lanes: int, deadline_ms: float) -> dict[str, Policy]:
    """Ours, and fixed batches that wait not at all, or for a quarter of the deadline."""
    costs = BatchCosts(table)
    found: dict[str, Policy] = {OURS: AdaptivePolicy()}
    for batch in (1, 2, 4, 8):
        if batch <= costs.largest:
            waits = (0.0,) if batch == 1 else (0.0, deadline_ms / 4)
            for share, wait in zip(("0", "deadline/4"), waits, strict=False):
                found[f"fixed {batch}, {share}"] = Fixed(costs, batch, wait, lanes)
    return found


def _capacity(engine: Engine, setup: Setup, table: CostTable) -> float:
    """Verdicts per second of streams that are read as fast as they are judged."""
    end = time.monotonic() + setup.seconds
    sources = _videos(setup, None, lambda: time.monotonic() < end)
    summary = Summary()
    held = frames_held(setup.streams, engine.lanes, BatchCosts(table).largest)
    feeds = [Feed(source, source.name, held=held) for source in sources]
    run(engine, feeds, Serving(table), summary)
    return summary.frames / summary.seconds


def _play(
    engine: Engine,
    setup: Setup,
    table: CostTable,
    policy: Policy,
    fps: float,
    deadline_ms: float,
    phases: Sequence[float],
    tally: _Tally,
) -> None:
    """Serve every stream at `fps` for as long as the setup says."""
    frames = max(1, round(setup.seconds * fps))
    paced = [
        RealtimeSource(source, fps, phase=phase)
        for source, phase in zip(_videos(setup, frames, lambda: True), phases, strict=True)
    ]
    sink, summary = _Latencies(), Summary()
    feeds = [Feed(source, source.name, [sink], deadline_ms=deadline_ms, held=engine.lanes + 2) for source in paced]
    run(engine, feeds, Serving(table, policy=policy), summary)
    tally.ms += sink.ms
    tally.offered.append(fps * setup.streams)
    for figures in summary.sources.values():
        tally.missed += figures.missed
        tally.dropped += sum(figures.dropped.values())
        tally.batches += figures.latency.count / figures.mean_batch if figures.mean_batch else 0.0


def _videos(setup: Setup, frames: int | None, go_on: Callable[[], bool]) -> list[LoopedVideo]:
    return [
        LoopedVideo(setup.videos[index % len(setup.videos)], f"stream {index}", frames, go_on, 7 * index)
        for index in range(setup.streams)
    ]
