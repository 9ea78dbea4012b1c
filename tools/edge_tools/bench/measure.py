"""The measurement itself: cold starts one by one, then timed calls of all engines in turn.

A cold start needs the machine for itself: libraries that another process holds cannot be dropped from the page cache,
and pages that another one read are not charged to this one's group. So each process that is to start cold, or is
confined, is alone; the cases take turns `starts` times. Unconfined calls are timed with all processes of one batch size
alive, one call each, round after round, so that a slow minute of a shared machine hits all of them alike; who does not
run is frozen.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.errors import MemoryLimitError
from edge_tools.bench.cases import Blocks, Case, Latency, Measured, Row, Status
from edge_tools.bench.confine import Caps, Charges, Group, create_group
from edge_tools.bench.hierarchy import Hierarchy
from edge_tools.bench.host import available_bytes
from edge_tools.bench.order import Order
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.process import KilledError, Worker, start_worker
from edge_tools.bench.samples import max_abs_diff, write_inputs

__all__ = ["Options", "measure"]

_SECONDS = 3.0  # of timed calls for each case
_LEAST_CALLS, _MOST_CALLS = 10, 2000
_WARM_UP = 2
_SPARE_BYTES = 512 << 20


@dataclass(frozen=True)
class Options:
    """How to measure. `rounds` None: about three seconds of calls for each case, and at least ten.

    `hierarchy` is where control groups are made, None to confine nothing; `caps` hold for every group beside its
    case's memory limit. `folder` takes inputs and outputs while it lasts; `timeout` (s) is the longest wait for one
    answer; `say` is told what is going on.
    """

    reference: str
    folder: Path
    cache: PageCache
    say: Callable[[str], None]
    hierarchy: Hierarchy | None = None
    caps: Caps = field(default_factory=Caps)
    rounds: int | None = None
    starts: int = 3
    threads: int | None = None
    cpus: tuple[int, ...] = ()
    timeout: float = 300.0
    drop_each: bool = False


@dataclass
class _Tally:
    """What became of a case so far."""

    case: Case
    status: Status = "ok"
    message: str = ""
    cold_ms: list[float] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    base: list[int] = field(default_factory=list)
    peak: int = 0
    difference: float = 0.0
    concurrency: int = 1
    blocks: Blocks = field(default_factory=Blocks)
    charges: Charges | None = None

    def opened(self, worker: Worker) -> None:
        first = worker.first
        self.base.append(first["base_bytes"])
        self.concurrency = first["concurrency"]
        self.blocks = Blocks(*first["blocks"])

    def ended(self, status: Status, message: str) -> None:
        self.status, self.message = status, message


def measure(bundle: Bundle, cases: Sequence[Case], options: Options) -> tuple[list[Measured], str]:
    """Measure every case; returns what was found, in their order, and onnxruntime's version.

    Raises EngineError for a case that fails in another way than by its memory limit, UsageError for a batch that the
    model does not take or a control group that cannot be made.
    """
    tallies = [_Tally(case) for case in cases]
    version = ""
    for batch, group in itertools.groupby(sorted(tallies, key=lambda tally: tally.case.batch), lambda t: t.case.batch):
        version = _Batch(bundle, batch, options).measure(list(group))
    return [_measured(tally, options) for tally in tallies], version


class _Batch:
    """All cases of one batch size."""

    def __init__(self, bundle: Bundle, batch: int, options: Options) -> None:
        self._bundle = bundle
        self._options = options
        self._outputs = options.folder / "outputs.npz"
        self._reference = options.folder / f"reference-{batch}.npz"
        self._inputs = write_inputs(bundle, batch, options.folder / f"inputs-{batch}.npz")
        self._batch = batch

    def measure(self, tallies: list[_Tally]) -> str:
        options = self._options
        options.say(f"batch {self._batch}: reference outputs")
        order = Order("reference", options.reference, str(self._inputs), self._batch, threads=options.threads)
        with start_worker(order, f"the reference {options.reference}", options.timeout) as worker:
            worker.open()
            version: str = worker.first["libraries"]
            worker.finish(self._reference)
        for visit in range(options.starts):
            for tally in tallies:
                if tally.status == "ok":
                    options.say(f"{tally.case}: start {visit + 1} of {options.starts}")
                    self._visit(tally)
        if options.hierarchy is None:
            waiting = [tally for tally in tallies if tally.status == "ok"]
            while waiting:
                waiting = waiting[self._in_turn(waiting) :]
        return version

    def _visit(self, tally: _Tally) -> None:
        """One process alone, from a cold start; its calls are timed when it is confined, for then it stays alone."""
        options = self._options
        options.cache.drop()
        with _noting_the_end(tally), self._start(tally) as worker:
            worker.open()
            tally.opened(worker)
            tally.cold_ms.append(worker.first["cold_start_ms"])
            if options.hierarchy is not None:
                calls = self._rounds(worker.run(_WARM_UP)["ms"][-1:])
                for _ in range(math.ceil(calls / options.starts)):
                    self._call(tally, worker)
            self._finish(tally, worker)

    def _in_turn(self, waiting: Sequence[_Tally]) -> int:
        """Time as many cases together as memory allows, at least one; returns how many they were."""
        options = self._options
        alive: dict[int, Worker] = {}
        with contextlib.ExitStack() as stack:
            taken = 0
            last_ms = []
            for index, tally in enumerate(waiting):
                if index and available_bytes() < self._need(tally.case) + _SPARE_BYTES:
                    options.say(f"batch {self._batch}: {index} engines fill the memory, the others come after them")
                    break
                taken += 1
                options.say(f"{tally.case}: warming up")
                with _noting_the_end(tally):
                    worker = stack.enter_context(self._start(tally))
                    worker.open()
                    tally.opened(worker)
                    last_ms.append(worker.run(_WARM_UP)["ms"][-1])
                    worker.freeze()
                    alive[index] = worker
            rounds = self._rounds(last_ms)
            for number in range(rounds):
                options.say(f"batch {self._batch}: {len(alive)} engines in turn, round {number + 1} of {rounds}")
                indices = list(alive)
                shift = number % max(1, len(indices))
                for index in indices[shift:] + indices[:shift]:  # nobody always follows the same neighbour
                    if not self._thawed_call(waiting[index], alive[index]):
                        del alive[index]
            for index, worker in alive.items():
                with _noting_the_end(waiting[index]):
                    worker.thaw()
                    self._finish(waiting[index], worker)
        return taken

    def _thawed_call(self, tally: _Tally, worker: Worker) -> bool:
        with _noting_the_end(tally):
            worker.thaw()
            self._call(tally, worker)
            worker.freeze()
        return tally.status == "ok"

    def _call(self, tally: _Tally, worker: Worker) -> None:
        if self._options.drop_each:
            self._options.cache.drop()
        tally.times_ms += worker.run()["ms"]

    def _finish(self, tally: _Tally, worker: Worker) -> None:
        tally.peak = max(tally.peak, worker.finish(self._outputs))
        tally.charges = _most(tally.charges, worker.charges())
        tally.difference = max(tally.difference, max_abs_diff(self._reference, self._outputs))

    def _start(self, tally: _Tally) -> contextlib.AbstractContextManager[Worker]:
        case, options = tally.case, self._options
        order = Order(
            case.engine, case.model, str(self._inputs), case.batch, case.memory_limit, options.threads, options.cpus
        )
        group: Group | None = None
        if options.hierarchy is not None:
            group = create_group(options.hierarchy, replace(options.caps, memory_bytes=case.memory_limit))
        return start_worker(order, str(case), options.timeout, group)

    def _rounds(self, last_ms: Sequence[float]) -> int:
        if self._options.rounds is not None or not last_ms:
            return self._options.rounds or 0
        mean_s = sum(last_ms) / len(last_ms) / 1e3
        return min(_MOST_CALLS, max(_LEAST_CALLS, math.ceil(_SECONDS / max(mean_s, 1e-6))))

    def _need(self, case: Case) -> int:
        """Guess what a case takes: its limit, or weights three times over (as read, as packed, as values) and more."""
        model = self._bundle.manifest.model
        guess = 3 * max(model.weight_bytes, model.fp32_bytes) + (256 << 20)
        return guess if case.memory_limit is None else min(guess, case.memory_limit)


@contextlib.contextmanager
def _noting_the_end(tally: _Tally) -> Iterator[None]:
    """A refusal or a kill is what became of the case, and no error of the measurement."""
    try:
        yield
    except MemoryLimitError as error:
        tally.ended("refused", str(error))
    except KilledError as error:
        tally.ended("killed", str(error))


def _most(one: Charges | None, other: Charges | None) -> Charges | None:
    if one is None or other is None:
        return one or other
    return Charges(
        one.oom_kills + other.oom_kills, one.at_limit + other.at_limit, max(one.most_bytes, other.most_bytes)
    )


def _measured(tally: _Tally, options: Options) -> Measured:
    case, confined = tally.case, options.hierarchy is not None
    if tally.status != "ok":
        row = Row(case.engine, case.memory_limit, case.batch, None, confined, tally.status, tally.message)
        return Measured(row, tally.charges)
    p50, p95, p99 = (round(float(value), 3) for value in np.percentile(tally.times_ms, (50, 95, 99)))
    return Measured(
        Row(
            engine=case.engine,
            memory_limit_bytes=case.memory_limit,
            batch=case.batch,
            concurrency=tally.concurrency,
            confined=confined,
            status="ok",
            message="",
            latency_ms=Latency(p50, p95, p99),
            images_per_s=round(1e3 * case.batch * len(tally.times_ms) / sum(tally.times_ms), 3),
            cold_start_ms=round(float(np.median(tally.cold_ms)), 1),
            peak_bytes=tally.peak,
            base_bytes=round(float(np.median(tally.base))),
            blocks=tally.blocks,
            max_abs_diff=tally.difference,
        ),
        tally.charges,
    )
