"""The measurement itself: cold starts one by one, then timed calls of all engines in turn.

A cold start needs the machine for itself: libraries that another process holds cannot be dropped from the page cache,
and pages that another one read are not charged to this one's group. So each process that is to start cold, or is
confined, is alone; the cases take turns `starts` times. Unconfined calls are timed with all processes of one batch size
alive, one call each, round after round, so that a slow minute of a shared machine hits all of them alike; who does not
run is frozen. Memory is that of one more process, of which nothing is timed: looking at it takes it time.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_devices.power import PowerSensor
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import MemoryLimitError
from edge_tools.bench.cases import Case, MeasuredCase
from edge_tools.bench.confine import Caps, Group, create_group
from edge_tools.bench.hierarchy import Hierarchy
from edge_tools.bench.host import available_bytes
from edge_tools.bench.order import Order
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.process import KilledError, Worker, start_worker
from edge_tools.bench.progress import time_left
from edge_tools.bench.samples import max_abs_diff, write_inputs
from edge_tools.bench.sustain import sustained
from edge_tools.bench.tally import Tally, measured, seconds_left

__all__ = ["Options", "measure"]

_SECONDS = 3.0  # of timed calls for each case
_LEAST_CALLS, _MOST_CALLS = 10, 2000
_WARM_UP = 2
_WEIGHED_CALLS = 3
_SPARE_BYTES = 512 << 20


@dataclass(frozen=True)
class Options:
    """How to measure. `rounds` None: about three seconds of calls for each case, and at least ten.

    `hierarchy` is where control groups are made, None to confine nothing; `caps` hold for every group beside its
    case's memory limit. `folder` takes inputs and outputs while it lasts; `timeout` (s) is the longest wait for one
    answer; `say` is told what is going on. `sustain_s` (s) of running without a pause come last for each case, 0 for
    none; the power `sensor` and the temperature (`celsius`) are read meanwhile. `label` goes into every row.
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
    sustain_s: float = 0.0
    sensor: PowerSensor | None = None
    celsius: Callable[[], float | None] = lambda: None
    label: str = ""


def measure(bundle: Bundle, cases: Sequence[Case], options: Options) -> tuple[list[MeasuredCase], str]:
    """Measure every case; returns what was found, in their order, and onnxruntime's version.

    Raises EngineError for a case that fails in another way than by its memory limit, UsageError for a batch that the
    model does not take or a control group that cannot be made.
    """
    tallies = [Tally(case) for case in cases]
    version = ""
    for batch in sorted({case.batch for case in cases}):
        version = _Batch(bundle, batch, tallies, options).measure()
    return [measured(tally, options.hierarchy is not None, options.label) for tally in tallies], version


class _Batch:
    """All cases of one batch size. `everything` is all that is measured: the time that is left is of all of it."""

    def __init__(self, bundle: Bundle, batch: int, everything: Sequence[Tally], options: Options) -> None:
        self._bundle = bundle
        self._options = options
        self._outputs = options.folder / "outputs.npz"
        self._reference = options.folder / f"reference-{batch}.npz"
        self._inputs = write_inputs(bundle, batch, options.folder / f"inputs-{batch}.npz")
        self._batch = batch
        self._everything = everything

    def measure(self) -> str:
        options = self._options
        tallies = [tally for tally in self._everything if tally.case.batch == self._batch]
        self._say(f"batch {self._batch}: reference outputs")
        order = Order("reference", options.reference, str(self._inputs), self._batch, threads=options.threads)
        with start_worker(order, f"the reference {options.reference}", options.timeout) as worker:
            worker.open()
            version: str = worker.first["libraries"]
            worker.finish(self._reference)
        for tally in tallies:
            self._say(f"{tally.case}: its memory")
            self._weigh(tally)
        for visit in range(options.starts):
            for tally in tallies:
                if tally.status == "ok":
                    self._say(f"{tally.case}: start {visit + 1} of {options.starts}")
                    self._visit(tally, visit + 1 == options.starts)
        if options.hierarchy is None:
            waiting = [tally for tally in tallies if tally.status == "ok"]
            while waiting:
                waiting = waiting[self._in_turn(waiting) :]
        return version

    def _weigh(self, tally: Tally) -> None:
        """One process alone that is watched from its start on."""
        self._options.cache.drop()
        with _noting_the_end(tally), self._start(tally, weighed=True) as worker:
            worker.open()
            worker.run(_WEIGHED_CALLS)
            tally.base = worker.first["base_bytes"]
            tally.peak = worker.finish(self._outputs)
            tally.charged(worker.charges())

    def _visit(self, tally: Tally, last: bool) -> None:
        """One process alone, from a cold start; its calls are timed when it is confined, for then it stays alone."""
        options = self._options
        started = time.monotonic()
        options.cache.drop()
        with _noting_the_end(tally), self._start(tally) as worker:
            worker.open()
            tally.opened(worker)
            tally.cold_ms.append(worker.first["cold_start_ms"])
            if options.hierarchy is not None:
                calls = self._rounds(worker.run(_WARM_UP)["ms"][-1:])
                for _ in range(math.ceil(calls / options.starts)):
                    self._call(tally, worker)
            tally.start_s.append(time.monotonic() - started)
            if options.hierarchy is not None and last:
                self._sustain(tally, worker)
            self._finish(tally, worker)

    def _in_turn(self, waiting: Sequence[Tally]) -> int:
        """Time as many cases together as memory allows, at least one; returns how many they were."""
        alive: dict[int, Worker] = {}
        with contextlib.ExitStack() as stack:
            taken = 0
            last_ms = []
            for index, tally in enumerate(waiting):
                if index and available_bytes() < self._need(tally.case) + _SPARE_BYTES:
                    self._say(f"batch {self._batch}: {index} engines fill the memory, the others come after them")
                    break
                taken += 1
                self._say(f"{tally.case}: warming up")
                with _noting_the_end(tally):
                    worker = stack.enter_context(self._start(tally))
                    worker.open()
                    tally.opened(worker)
                    last_ms.append(worker.run(_WARM_UP)["ms"][-1])
                    worker.freeze()
                    alive[index] = worker
            rounds = self._rounds(last_ms)
            for number in range(rounds):
                left = (rounds - number) * sum(last_ms) / 1e3 if number else 0.0
                self._say(f"batch {self._batch}: {len(alive)} engines in turn, round {number + 1} of {rounds}", left)
                indices = list(alive)
                shift = number % max(1, len(indices))
                for index in indices[shift:] + indices[:shift]:  # nobody always follows the same neighbour
                    if not self._thawed_call(waiting[index], alive[index]):
                        del alive[index]
            for index, worker in alive.items():
                with _noting_the_end(waiting[index]):
                    worker.thaw()
                    self._sustain(waiting[index], worker)
                    self._finish(waiting[index], worker)
        return taken

    def _thawed_call(self, tally: Tally, worker: Worker) -> bool:
        with _noting_the_end(tally):
            worker.thaw()
            self._call(tally, worker)
            worker.freeze()
        return tally.status == "ok"

    def _call(self, tally: Tally, worker: Worker) -> None:
        if self._options.drop_each:
            self._options.cache.drop()
        tally.times_ms += worker.run()["ms"]

    def _sustain(self, tally: Tally, worker: Worker) -> None:
        options, case = self._options, tally.case
        if options.sustain_s <= 0:
            return

        def say(left: float) -> None:
            # This case's own share is counted as it shrinks, the others' as a whole.
            self._say(f"{case}: running without a pause", left - options.sustain_s)

        found = sustained(worker, options.sustain_s, case.batch, options.sensor, options.celsius, say)
        tally.sustained, tally.consumption = found

    def _finish(self, tally: Tally, worker: Worker) -> None:
        worker.finish(self._outputs)
        tally.charged(worker.charges())
        tally.difference = max(tally.difference, max_abs_diff(self._reference, self._outputs))

    def _start(self, tally: Tally, weighed: bool = False) -> contextlib.AbstractContextManager[Worker]:
        case, options = tally.case, self._options
        order = Order(
            case.engine, case.model, str(self._inputs), case.batch, case.memory_limit, options.threads, options.cpus
        )
        group: Group | None = None
        if options.hierarchy is not None:
            group = create_group(options.hierarchy, replace(options.caps, memory_bytes=case.memory_limit))
        return start_worker(order, str(case), options.timeout, group, weighed)

    def _say(self, text: str, more_s: float = 0.0) -> None:
        """Tell what is going on and how long the whole takes yet; `more_s` is what the tallies do not know of it."""
        options = self._options
        calls_s = _SECONDS if options.hierarchy is None else 0.0
        left = seconds_left(self._everything, options.starts, calls_s, options.sustain_s)
        options.say(text if left is None else f"{text}{time_left(left + more_s)}")

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
def _noting_the_end(tally: Tally) -> Iterator[None]:
    """A refusal or a kill is what became of the case, and no error of the measurement."""
    try:
        yield
    except MemoryLimitError as error:
        tally.ended("refused", str(error))
    except KilledError as error:
        tally.ended("killed", str(error))
