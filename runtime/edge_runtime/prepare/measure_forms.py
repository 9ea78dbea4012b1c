"""Measuring one lowered graph in each form that it can be held in: is it right, what does it take, how long."""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_devices.process_memory import memory, reset_peak, return_freed_memory
from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.laying import laid_session
from edge_runtime.blocks.prepared import StoredWeights
from edge_runtime.blocks.storage import FileStorage, room
from edge_runtime.errors import EdgelineError, EngineError, ModelError
from edge_runtime.ort.block_session import packed_session, run_bound, streamed_session
from edge_runtime.ort.process import drop_arena, share_arena, take_first_chunk
from edge_runtime.plan.form import Form
from edge_runtime.plan.measurements import FormMeasurement, Timing, Work

__all__ = [
    "MeasuredForm",
    "Subject",
    "alike",
    "measure_forms",
    "measure_laid",
    "measure_packed",
    "reserved_bytes",
    "shortest",
    "tiled",
]

Arrays = Mapping[str, NDArray[np.generic]]

# Of one timing: this long, or so many runs. The shortest counts: what disturbs a run only ever makes it longer.
_SECONDS, _LEAST_RUNS, _MOST_RUNS = 0.1, 3, 12
# Address space for onnxruntime's arena, for each image of the largest batch; taken page by page as it is written to, so
# that what is touched is what is needed.
_ROOMY = 64 << 20
# Of the sizes that are tried after what was touched turned out to be too little, each a sixteenth larger.
_TRIES, _LEAST_ARENA = 24, 1 << 16
# onnxruntime's arena keeps 8 bytes for every 256 of a chunk, all of them written to when it takes the chunk.
_BOOKKEEPING = 32
# Two kernels for one sum differ by rounding, int8 ones now and then by a step; a wrong answer is far below this.
_ALIKE_DB = 40.0


@dataclass(frozen=True)
class Subject:
    """A lowered graph, its inputs for one image and what has to come out.

    `pages` are those of `weights` where the block is one whose weights can be laid (blocks/laying.py).

    `batches` are to be measured, ascending, the first is 1. `axes` has the batch's axis of every input and output, -1
    for none. An output that `expected` has not is one whose shape depends on the data.
    """

    folder: Path
    graph: str
    weights: StoredWeights | None
    feeds: Arrays
    expected: Arrays
    outputs: tuple[str, ...]
    axes: Mapping[str, int]
    batches: tuple[int, ...]
    threads: int
    pages: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class MeasuredForm:
    """One form, and what onnxruntime's arena needs for the values inside the graph."""

    form: FormMeasurement
    work: tuple[Work, ...]


def reserved_bytes(batch: int) -> int:
    """Address space that measuring reserves beside what it takes: the arena of one session, and of the one before."""
    return 2 * _ROOMY * batch


def measure_forms(subject: Subject) -> list[MeasuredForm]:
    """Measure every form that gives the right answer, streamed first. Raises ModelError when none does."""
    found = []
    if subject.weights is not None:
        # A block that cannot be streamed here (a type, a kernel, an old onnxruntime) has the other forms.
        with contextlib.suppress(EdgelineError):
            found.append(_measure_streamed(subject, subject.weights))
    graph = subject.folder / subject.graph
    packed = measure_packed(subject, confirm=subject.weights is None)
    form = replace(packed.form, packs_in_arena=_packs_in_arena(graph, subject.threads))
    found.append(replace(packed, form=form))
    if subject.weights is not None:
        load_ms = shortest(lambda: packed_session(graph, subject.threads))
        found.append(replace(packed, form=replace(form, form="reloaded", load_ms=load_ms)))
    return found


def measure_laid(subject: Subject, weights: StoredWeights) -> list[MeasuredForm]:
    """Measure a block whose packed weights lie in the arena, streamed first.

    Resident they lie in an arena of the block's own: the same pages at the same addresses, so the same figures, with
    what the weights take. Raises ModelError where they cannot be laid here, or the answer is not that of an ordinary
    session to the last bit.
    """
    arena = Arena(weights.size, shared=True)
    into = arena.view(0, "uint8", (weights.size,)).view(np.uint8)
    storage = FileStorage(subject.folder)
    storage.read(weights, into)
    load_ms = shortest(lambda: storage.read(weights, into))
    graph, file = subject.folder / subject.graph, subject.folder / weights.file

    def opened() -> Any:
        into[:] = 0  # another block's weights lie here at first: a session that reads none of these has to fail
        laid = laid_session(graph, file, subject.pages, subject.threads)
        laid.lay(arena, 0)
        storage.read(weights, into)
        return laid.session

    streamed = _measure(subject, "streamed", opened, load_ms, confirm=True, least_db=math.inf)
    held = streamed.form.held_bytes + weights.size
    resident = replace(streamed.form, form="resident", held_bytes=held, load_ms=0.0)
    return [streamed, replace(streamed, form=resident)]


def measure_packed(subject: Subject, confirm: bool = False) -> MeasuredForm:
    """Measure an ordinary session of the graph; `confirm` for one without weights. Raises ModelError."""
    graph = subject.folder / subject.graph
    return _measure(subject, "resident", lambda: packed_session(graph, subject.threads), 0.0, confirm)


def _packs_in_arena(graph: Path, threads: int) -> bool:
    """Whether making the session takes from the arena, as one that has nothing to give shows.

    Some kernels ask it for their packed weights, others reserve memory of their own beside it.
    """
    share_arena(_LEAST_ARENA, _LEAST_ARENA)
    try:
        packed_session(graph, threads)
    except ModelError:
        return True
    finally:
        drop_arena()
    return False


def _measure_streamed(subject: Subject, weights: StoredWeights) -> MeasuredForm:
    into = Arena(room(weights.size)).view(0, "uint8", (room(weights.size),)).view(np.uint8)
    storage = FileStorage(subject.folder)
    storage.read(weights, into)
    load_ms = shortest(lambda: storage.read(weights, into))
    kept: list[Any] = []

    def opened() -> Any:
        # The engine opens its sessions before there are weights: a kernel that looks at them now has to fail here.
        into[:] = 0
        session, owner = streamed_session(subject.folder / subject.graph, into, subject.threads)
        kept.append(owner)
        storage.read(weights, into)
        return session

    return _measure(subject, "streamed", opened, load_ms, confirm=True)


def _measure(
    subject: Subject,
    form: Form,
    opened: Callable[[], Any],
    load_ms: float,
    confirm: bool = False,
    least_db: float = _ALIKE_DB,
) -> MeasuredForm:
    """Measure a form; `confirm`: what the arena needs is tried, which only says something where nothing is packed."""
    roomy = _ROOMY * subject.batches[-1]
    share_arena(roomy, 0)
    take_first_chunk()
    buffers = _Buffers(subject, subject.batches[0])
    gc.collect()
    return_freed_memory()
    start = memory().resident
    reset_peak()
    session = opened()
    gc.collect()
    return_freed_memory()  # what making a session frees is there for the next one
    made = memory()
    timings: list[Timing] = []
    work: list[Work] = []
    grown = 0
    files: list[int] = []  # what is not the process's own, before the first run and after each
    for batch in subject.batches:
        if batch != subject.batches[0]:
            buffers = _Buffers(subject, batch)
        before = memory()
        run_bound(session, buffers.bound(session))
        after = memory()
        grown += max(after.own - before.own, 0)
        files += [before.resident - before.own] * (not files) + [after.resident - after.own]
        if batch == subject.batches[0] and not alike(subject.expected, buffers.outputs, least_db):
            raise ModelError(f"{subject.graph} held {form} does not give the block's answer")
        binding = buffers.bound(session)
        timings.append(Timing(batch, shortest(functools.partial(run_bound, session, binding))))
        work.append(Work(batch, grown + grown // _BOOKKEEPING))
    held = max(made.resident - start, 0) + max(files[-1] - files[0], 0)
    making = max(made.peak - made.resident, 0)
    del session, binding
    if confirm:
        work = [Work(entry.batch, _confirmed(subject, opened, entry)) for entry in work]
    drop_arena()
    return MeasuredForm(FormMeasurement(form, held, making, load_ms, tuple(timings)), tuple(work))


def _confirmed(subject: Subject, opened: Callable[[], Any], work: Work) -> int:
    """Return the first size from `work` on with which a run succeeds: kernels also ask for what they never write to."""
    buffers = _Buffers(subject, work.batch)
    size = max(work.bytes, _LEAST_ARENA)
    for _ in range(_TRIES):
        share_arena(size, size)
        session = opened()
        try:
            run_bound(session, buffers.bound(session))
            return size
        except EngineError:
            size += size // 16
    return size


class _Buffers:
    """Inputs and outputs for one batch, there and written to before anything is measured."""

    def __init__(self, subject: Subject, batch: int) -> None:
        self._subject = subject
        self._feeds = {name: tiled(array, subject.axes[name], batch) for name, array in subject.feeds.items()}
        self.outputs = {
            name: np.zeros_like(tiled(array, subject.axes[name], batch)) for name, array in subject.expected.items()
        }

    def bound(self, session: Any) -> Any:
        binding = session.io_binding()
        for name, array in self._feeds.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name in self._subject.outputs:
            if name in self.outputs:
                array = self.outputs[name]
                binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            else:
                binding.bind_output(name, "cpu")
        return binding


def tiled(array: NDArray[np.generic], axis: int, batch: int) -> NDArray[np.generic]:
    """Return the value for `batch` images that are all the same one, contiguous."""
    if axis < 0 or batch == 1:
        return np.asarray(array, order="C")  # ascontiguousarray would make a scalar a vector
    return np.ascontiguousarray(np.concatenate([array] * batch, axis=axis))


def alike(expected: Arrays, found: Arrays, least_db: float = _ALIKE_DB) -> bool:
    """Tell whether every expected value was found, to the rounding of other kernels."""
    return all(_alike(array, found[name], least_db) for name, array in expected.items())


def _alike(a: NDArray[np.generic], b: NDArray[np.generic], least_db: float) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.tobytes() == b.tobytes():
        return True
    if a.dtype.kind not in "fiu":
        return False
    left, right = a.astype(np.float64), b.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        noise = float(np.square(left - right, where=~same, out=np.zeros_like(left)).sum())
        signal = float(np.square(left, where=np.isfinite(left), out=np.zeros_like(left)).sum())
    return noise <= signal * 10 ** (-least_db / 10)  # False for NaN


def shortest(action: Callable[[], Any]) -> float:
    """Return the shortest time of a few calls, in ms."""
    best = spent = 0.0
    for count in range(_MOST_RUNS):
        started = time.perf_counter()
        action()
        took = time.perf_counter() - started
        best = min(best, took) if count else took
        spent += took
        if spent > _SECONDS and count + 1 >= _LEAST_RUNS:
            break
    return best * 1000
