"""Settings as they really run: sessions, and threads that give each of them batches."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_devices import available_memory, usable_cores
from edge_devices.process_memory import memory, return_freed_memory
from edge_devices.profile import ProviderChoice
from edge_runtime.errors import DataError, EngineError, MemoryLimitError, ModelError
from edge_runtime.files.sizes import format_size
from edge_runtime.ort.affinity import staying_on
from edge_runtime.ort.providers.choose import CPU, filled
from edge_runtime.ort.runner import Runner
from edge_runtime.ort.session import PlainRunner, SessionOptions, SessionRunner
from edge_runtime.tune.choice import Choice
from edge_runtime.tune.contest import Entrant, Round
from edge_runtime.tune.space import default_choice, lane_cores

__all__ = ["OrtRig", "Subject"]

Arrays = Mapping[str, NDArray[np.generic]]
_Key = tuple[object, ...]
_PLAIN_KEY: _Key = ("plain",)

# What is left to the rest of the system when sessions are opened side by side.
_RESERVE = 64 << 20
# A session's memory before one like it was seen: its weights as stored, and packed; values; the optimizer's copies.
_FACTOR = 4.0
# Busy threads stop by themselves some tens of milliseconds after a run. The next turn waits for that.
_QUIET_STEP, _QUIET_CPU, _QUIET_SECONDS = 0.003, 0.0015, 0.3


@dataclass(frozen=True)
class Subject:
    """What is run: the bundle's `model` and, where there is one, the `prepared` graph, which edge-run opens instead.

    `providers` to try beside the CPU, in order, and the folder for what they `keep` (engines). `samples`: inputs of one
    batch each, of the smallest batch, `base_batch`. `free_batch`: it may be larger. `weight_bytes` of the model.
    """

    model: Path
    prepared: Path | None
    providers: tuple[ProviderChoice, ...]
    keep: Path | None
    samples: Sequence[Arrays]
    base_batch: int
    free_batch: bool
    weight_bytes: int


class OrtRig:
    """Opens sessions when they are wanted and runs them. Not for several threads at once but where it says so."""

    def __init__(self, subject: Subject, stop: Callable[[], bool]) -> None:
        """`stop` ends a turn early, after the batch that is under way."""
        self._subject, self._stop = subject, stop
        self._sessions: dict[_Key, Runner] = {}
        self._warm: set[tuple[_Key, int]] = set()
        self._current: set[_Key] = set()
        self._largest = 0
        self._feeds: dict[int, Arrays] = {}
        before = _threads()
        first = subject.providers[0] if subject.providers else ProviderChoice(CPU)
        self._plain = PlainRunner(subject.model, first)
        after = _threads()
        # The calling thread computes, too.
        computing_here = self._plain.providers[0] == CPU
        started = len(after - before) + 1 if after and computing_here else usable_cores()
        self.default: Choice = default_choice(started, subject.base_batch, self._plain.providers[0])

    def __call__(self, entrant: Entrant, seconds: float) -> Round:
        """Run an entrant for so many seconds; see contest.MeasureCall. Raises what a session raises."""
        return self.run(entrant, seconds, self._stop)

    def run(self, entrant: Entrant, seconds: float, stop: Callable[[], bool]) -> Round:
        """Run until `seconds` are over or `stop` says so. MemoryLimitError: its sessions would not fit."""
        choice = self.default if entrant is None else entrant
        feeds = self._inputs(choice.batch)
        self._current = set() if entrant is None else {self._key(entrant, lane) for lane in range(entrant.lanes)}
        lanes = []
        for number in range(choice.lanes):
            key = _PLAIN_KEY if entrant is None else self._key(entrant, number)
            lanes.append(_Lane(self._session(key, entrant, number), lane_cores(choice, number)))
            self._warm_up(key, lanes[-1].session, choice.batch, feeds)
        _settle()
        _run_lanes(lanes, feeds, seconds, stop)
        ms = tuple(took for lane in lanes for took in lane.ms)
        return Round(ms, sum(len(lane.ms) * choice.batch / lane.seconds for lane in lanes))

    def keep(self, choices: Collection[Choice]) -> None:
        """Close the sessions that none of these needs."""
        wanted = {self._key(choice, lane) for choice in choices for lane in range(choice.lanes)}
        for key in self._sessions.keys() - wanted:
            self._drop(key)

    def close(self) -> None:
        """Free every session."""
        self.keep(())
        self._plain.close()

    def _drop(self, key: _Key) -> None:
        self._sessions.pop(key).close()
        self._warm = {mark for mark in self._warm if mark[0] != key}

    def _key(self, choice: Choice, lane: int) -> _Key:
        """Sessions that are the same: a lane of one thread has no threads of its own, so all lanes share one."""
        if choice.threads == 1:
            return (1, choice.provider)
        return (choice.threads, choice.provider, choice.spinning, lane_cores(choice, lane), lane)

    def _session(self, key: _Key, entrant: Entrant, lane: int) -> Runner:
        if entrant is None:
            return self._plain
        if key in self._sessions:
            self._sessions[key] = self._sessions.pop(key)  # the last one used is the last one dropped
        else:
            self._check_memory()
            before = memory().own
            cores = lane_cores(entrant, lane)
            options = SessionOptions("cpu", entrant.threads, 1, entrant.spinning, cores)
            with staying_on(cores):  # its threads inherit where they stay
                self._sessions[key] = self._opened(options, entrant)
            self._largest = max(self._largest, memory().own - before)
        return self._sessions[key]

    def _opened(self, options: SessionOptions, choice: Choice) -> Runner:
        subject = self._subject
        if choice.provider != CPU:
            wanted = next(found for found in subject.providers if found.name == choice.provider)
            provider = filled(wanted, choice.threads, choice.lanes, subject.keep)
            return SessionRunner(subject.model, options, provider=provider)
        if subject.prepared is not None:
            with contextlib.suppress(ModelError):  # damaged: edge-run then opens the bundle's own, too
                return SessionRunner(subject.prepared, options, optimize=False)
        return SessionRunner(subject.model, options)

    def _check_memory(self) -> None:
        """Drop sessions that this turn does not need until there is room for another one. Raises MemoryLimitError."""
        need = max(self._largest * 1.5, _FACTOR * self._subject.weight_bytes) + _RESERVE
        while (left := available_memory()) is not None and left < need:
            idle = next((key for key in self._sessions if key not in self._current), None)
            if idle is None:
                raise MemoryLimitError(
                    f"another session may take {format_size(need)}, {format_size(left)} of memory are available"
                )
            self._drop(idle)
            return_freed_memory()

    def _warm_up(self, key: _Key, session: Runner, batch: int, feeds: Arrays) -> None:
        """Let a session make its buffers for this batch, with a look at what comes out, before anything is timed."""
        if (key, batch) in self._warm:
            return
        before = memory().own
        if batch > self._subject.base_batch:
            self._check_memory()
        outputs = session.run(feeds)
        self._largest = max(self._largest, memory().own - before)
        for name, values in outputs.items():
            if batch > self._subject.base_batch and (not values.ndim or values.shape[0] % batch):
                raise EngineError(f"{name} has the shape {list(values.shape)} for a batch of {batch}")
        self._warm.add((key, batch))

    def _inputs(self, batch: int) -> Arrays:
        if batch not in self._feeds:
            base, samples = self._subject.base_batch, self._subject.samples
            if batch != base and not (self._subject.free_batch and batch % base == 0):
                raise DataError(f"the model's batch is fixed at {base}, {batch} was asked for")
            chosen = [samples[k % len(samples)] for k in range(batch // base)]
            self._feeds[batch] = {name: _joined([sample[name] for sample in chosen]) for name in chosen[0]}
        return self._feeds[batch]


@dataclass
class _Lane:
    """One thread's work, and what it measured."""

    session: Runner
    cores: tuple[int, ...]
    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    error: BaseException | None = None


def _run_lanes(lanes: Sequence[_Lane], feeds: Arrays, seconds: float, stop: Callable[[], bool]) -> None:
    """Let all lanes compute at once. Raises what the first of them that failed raised."""
    ready = threading.Barrier(len(lanes))
    halt = threading.Event()

    def work(lane: _Lane) -> None:
        try:
            with staying_on(lane.cores):
                lane.session.run(feeds)  # the last turn's weights are out of the caches
                ready.wait()
                begun = now = time.perf_counter()
                while not lane.ms or (now - begun < seconds and not stop() and not halt.is_set()):
                    lane.session.run(feeds)
                    ended = time.perf_counter()
                    lane.ms.append((ended - now) * 1000)
                    now = ended
                lane.seconds = now - begun
        except threading.BrokenBarrierError:
            pass  # another lane failed, and tells why
        except BaseException as error:  # noqa: BLE001  goes on in the thread that waits
            lane.error = error
            halt.set()
            ready.abort()

    threads = [threading.Thread(target=work, args=(lane,), daemon=True) for lane in lanes]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        halt.set()  # an interrupt came while they ran
    for lane in lanes:
        if lane.error is not None:
            raise lane.error


def _joined(arrays: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    # ascontiguousarray would make a scalar a vector
    return np.asarray(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), order="C")


def _threads() -> set[str]:
    """The threads of this process; none where the system does not tell."""
    try:
        return {path.name for path in Path("/proc/self/task").iterdir()}
    except OSError:
        return set()


def _settle() -> None:
    """Wait until the threads of the last turn's session have stopped waiting busily."""
    ends = time.perf_counter() + _QUIET_SECONDS
    spent = time.process_time()
    while time.perf_counter() < ends:
        time.sleep(_QUIET_STEP)
        now = time.process_time()
        if now - spent < _QUIET_CPU:
            return
        spent = now
