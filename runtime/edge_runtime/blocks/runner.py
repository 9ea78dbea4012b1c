"""Runs a plan: block after block over the whole batch, weights streamed in beside the computing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.blocks.arena import Arena
from edge_runtime.blocks.laying import laid_session
from edge_runtime.blocks.loader import Load, Loader
from edge_runtime.blocks.prepared import PreparedBlock, Rest, StoredWeights
from edge_runtime.blocks.spill import Spill, spill_bytes
from edge_runtime.blocks.storage import FileStorage, Storage, room
from edge_runtime.blocks.sums import sound_graph
from edge_runtime.bundle.boundaries import alive_before
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.errors import EngineError, ModelError
from edge_runtime.ort.block_session import packed_session, run_bound, streamed_session
from edge_runtime.ort.process import is_last_arena, share_arena
from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Arrays, Tensors, Urgent
from edge_runtime.plan.plan import BlockPlan, Plan, ValuePlan

__all__ = ["BlockRunner"]


class BlockRunner:
    """One plan in execution. Not safe for several threads at once (the engine takes turns), but `close` is."""

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        folder: Path,
        blocks: Sequence[PreparedBlock],
        threads: int,
        lock_memory: bool = False,
        storage: Storage | None = None,
        preempt: bool = False,
    ) -> None:
        """Reserve the arena and make every session that stays. `folder` holds the prepared `blocks`.

        `storage` is where weights are read from, the folder's files by default. `preempt`: room is reserved for what
        `interruptible` needs, beside what the plan counts.

        Raises MemoryLimitError where the system does not give the memory, ModelError for a graph that does not load.
        """
        self.plan = plan
        self.providers: tuple[str, ...] = (CPU,)
        self._closing = False
        self._folder, self._threads = folder, threads
        self._storage = storage or FileStorage(folder, direct=not plan.cached)
        prepared = {block.file: block for block in blocks}
        if missing := [block.file for block in plan.blocks if block.file not in prepared]:
            raise EngineError(f"the plan runs {missing[0]}, which was not prepared; plan again")
        self._blocks = [prepared[block.file] for block in plan.blocks]
        self._values = {value.name: value for value in plan.values}
        self._inputs = [spec.name for spec in manifest.inputs]
        self._specs = {spec.name: spec for spec in manifest.outputs}
        self._outputs = list(self._specs)
        self._last_reader = {name: k for k, block in enumerate(self._blocks) for name in block.inputs}
        laid = any(
            block.form == "streamed" and here.pages for block, here in zip(plan.blocks, self._blocks, strict=True)
        )
        self._arena = Arena(plan.arena_bytes, shared=laid)
        self._spill = self._make_spill() if preempt else None
        self._urgent: Urgent | None = None
        self._arena_number = share_arena(plan.work_chunk_bytes, plan.work_cap_bytes)
        self._sessions: dict[int, Any] = {}
        self._keep: list[Any] = []
        loads = [load for k, block in enumerate(plan.blocks) if (load := self._open(k, block)) is not None]
        if lock_memory:  # only now: its pages are there from here on, and making sessions took some of their room
            self._arena.lock()
        self._loader = Loader(_first_steps(loads, plan), len(plan.blocks) + 2)

    def room(self, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """Return where the next run's input may be written: in the arena if it fits there."""
        value = self._values[name]
        if value.place is not None and np.dtype(value.dtype) == dtype and self._fits(value, shape):
            return self._arena.view(value.place.offset, value.dtype, shape)
        return np.empty(shape, dtype)

    def run(self, feeds: Arrays) -> Tensors:
        """Run named inputs; outputs are views that hold until the next run.

        A batch larger than planned goes through in parts, and its outputs are new arrays. Raises EngineError.
        """
        if self._closing:
            raise EngineError("the engine is closed; open the bundle again")
        count = self._count(feeds)
        if count <= self.plan.batch:
            return self._run(feeds, count)
        parts = []
        for start in range(0, count, self.plan.batch):
            stop = min(start + self.plan.batch, count)
            part = {name: self._cut(name, array, start, stop) for name, array in feeds.items()}
            parts.append({name: array.copy() for name, array in self._run(part, stop - start).items()})
        return {name: self._join(name, [part[name] for part in parts]) for name in self._outputs}

    @property
    def preemptible(self) -> bool:
        """Whether runs can be `interruptible`: asked for, and every value has its place and size in the plan."""
        return self._spill is not None

    @contextlib.contextmanager
    def interruptible(self, urgent: Urgent) -> Iterator[None]:
        """Let the runs inside be interrupted: `urgent` is asked between two blocks.

        What it gives is called while the run's values are spilled; it may run this runner, to the end, and has to read
        the outputs before it returns. Raises EngineError where the runner is not `preemptible`.
        """
        if self._spill is None:
            raise EngineError("the engine was not opened for runs that can be interrupted; open it with preempt=True")
        before, self._urgent = self._urgent, urgent
        try:
            yield
        finally:
            self._urgent = before

    def stop(self) -> None:
        """Make a run that is under way end at the next block; may be called from any thread."""
        self._closing = True
        self._loader.close()

    def close(self) -> None:
        """Free everything; after `stop`, when no run is under way."""
        self.stop()
        self._sessions.clear()
        self._keep.clear()

    def _open(self, k: int, block: BlockPlan) -> Load | None:
        here = self._blocks[k]
        if here.pages and here.weights is not None:
            return self._open_laid(k, block, here, here.weights)
        graph = self._folder / here.graph
        weights, place = here.weights, block.place

        def packed() -> None:
            if weights is not None:  # which onnxruntime reads by itself, and does not check
                self._storage.check(weights)
            self._share_arena()
            self._sessions[k] = packed_session(graph, self._threads, sound_graph(graph))

        if block.form == "resident":
            packed()
            return None
        if block.form == "reloaded":
            return Load(k, 0, packed)
        if weights is None or place is None:
            raise EngineError(
                f"the plan streams {block.file}, which has no weights to stream; prepare the bundle again"
            )
        into = self._arena.view(place.offset, "uint8", (room(weights.size),)).view(np.uint8)
        self._sessions[k], kept = streamed_session(graph, into, self._threads, sound_graph(graph))
        self._keep.append(kept)
        return Load(k, place.lower, self._stream(block, weights, into))

    def _open_laid(self, k: int, block: BlockPlan, here: PreparedBlock, weights: StoredWeights) -> Load | None:
        """A session on its own arena, which is read once, or on a place of the engine's, read before each use."""
        if here.rest is not None:
            self._storage.check_rest(here.rest)
        self._share_arena()
        try:
            graph = self._folder / here.graph
            laid = laid_session(graph, self._folder / weights.file, here.pages, self._threads, sound_graph(graph))
        except ModelError:  # newer onnxruntime compare a packed form with what they would pack: damaged, perhaps
            self._storage.check_rest(Rest(weights.file, 0, weights.size, weights.crc32))
            raise
        self._sessions[k] = laid.session
        place = block.place
        if place is None:
            own = Arena(weights.size, shared=True)
            self._storage.read(weights, own.view(0, "uint8", (weights.size,)).view(np.uint8))
            laid.lay(own, 0)
            return None
        laid.lay(self._arena, place.offset)
        into = self._arena.view(place.offset, "uint8", (weights.size,)).view(np.uint8)
        return Load(k, place.lower, self._stream(block, weights, into))

    def _stream(self, block: BlockPlan, weights: StoredWeights, into: NDArray[np.uint8]) -> Callable[[], None]:
        read = self._storage.unpack if block.packed else self._storage.read
        return lambda: read(weights, into)

    def _share_arena(self) -> None:
        """Before a session is made: another engine of this process may have made its own arena since."""
        if not is_last_arena(self._arena_number):
            self._arena_number = share_arena(self.plan.work_chunk_bytes, self.plan.work_cap_bytes)

    def _run(self, feeds: Arrays, count: int) -> Tensors:
        made: dict[str, Any] = {}  # values that onnxruntime made room for
        try:
            for name in self._inputs:
                target, array = self._view(name, count), feeds[name]
                if target.ctypes.data != array.ctypes.data or not array.flags.c_contiguous:
                    np.copyto(target, array, casting="no")
            for k, block in enumerate(self._blocks):
                if self._closing:
                    raise EngineError("the engine was closed while it ran")
                if k and self._urgent is not None and self._spill is not None:
                    self._yield_to(self._urgent, self._spill, k, count)
                self._loader.reach(k + 1)
                self._run_block(k, block, count, made)
                for name in [name for name in made if self._last_reader.get(name) == k and name not in self._outputs]:
                    del made[name]
        except BaseException:
            self._loader.next_run(between=self._drop_reloaded)
            raise
        self._loader.next_run()
        return {name: made[name].numpy() if name in made else self._view(name, count) for name in self._outputs}

    def _yield_to(self, urgent: Urgent, spill: Spill, k: int, count: int) -> None:
        """Put this run aside before block `k`, if there is something urgent; do that; go on."""
        call = urgent()
        if call is None:
            return
        names = alive_before(self._blocks, k, self._inputs, self._outputs)
        arrays = [self._view(name, count) for name in names]
        spill.save(arrays)
        self._loader.next_run(between=self._drop_reloaded)
        self._urgent = None  # what is urgent is not interrupted
        try:
            call()
        finally:
            self._urgent = urgent

        def back() -> None:
            self._drop_reloaded()  # made ahead for a run from the beginning
            spill.restore(arrays)

        self._loader.next_run(between=back, start=k)

    def _make_spill(self) -> Spill | None:
        """Room for the largest boundary; None where a value's size is not known before it is there."""
        if any(value.place is None for value in self._values.values()):
            return None
        sizes = {name: self._view(name, self.plan.batch).nbytes for name in self._values}
        return Spill(spill_bytes(self._blocks, self._inputs, self._outputs, sizes))

    def _drop_reloaded(self) -> None:
        for k, planned in enumerate(self.plan.blocks):
            if planned.form == "reloaded":
                self._sessions.pop(k, None)

    def _run_block(self, k: int, block: PreparedBlock, count: int, made: dict[str, Any]) -> None:
        form = self.plan.blocks[k].form
        if form != "resident":
            self._loader.wait_for(k)
        session = self._sessions[k]
        step = min(self.plan.micro_batch, count)
        for start in range(0, count, step):
            binding = session.io_binding()
            size = min(step, count - start)
            for name in block.inputs:
                if name in made:
                    binding.bind_ortvalue_input(name, made[name])
                else:
                    binding.bind_input(name, "cpu", 0, *self._buffer(name, start, size))
            free = [name for name in block.outputs if self._values[name].place is None]
            for name in block.outputs:
                if name in free:
                    binding.bind_output(name, "cpu")
                else:
                    binding.bind_output(name, "cpu", 0, *self._buffer(name, start, size))
            run_bound(session, binding)
            if free:
                values = dict(zip(block.outputs, binding.get_outputs(), strict=True))
                made.update({name: values[name] for name in free})
        if form == "reloaded":
            del self._sessions[k]

    def _buffer(self, name: str, start: int, count: int) -> tuple[Any, tuple[int, ...], int]:
        """The element type, shape and address of `count` images of a value from image `start` on."""
        value = self._values[name]
        if value.place is None:
            raise EngineError(f"the value {name!r} has no place in the plan; prepare the bundle again")
        shape = _shape(value, self.plan.batch, count)
        dtype = np.dtype(value.dtype)
        skip = start * (math.prod(shape) // count) * dtype.itemsize if start else 0
        return dtype.type, shape, self._arena.address + value.place.offset + skip

    def _view(self, name: str, count: int) -> NDArray[np.generic]:
        value = self._values[name]
        if value.place is None:
            raise EngineError(f"the value {name!r} has no place in the plan; prepare the bundle again")
        return self._arena.view(value.place.offset, value.dtype, _shape(value, self.plan.batch, count))

    def _count(self, feeds: Arrays) -> int:
        """The images in `feeds`, at least 1; shapes that the plan was not made for are refused."""
        counts = set()
        for name in self._inputs:
            value, shape = self._values[name], feeds[name].shape
            if feeds[name].dtype != np.dtype(value.dtype):
                raise EngineError(f"input {name!r} is {feeds[name].dtype}, the model takes {value.dtype}")
            if value.axis < 0:
                fits = shape == value.shape
            else:
                fits = len(shape) == len(value.shape) and shape[value.axis] % (one := _one(value, self.plan.batch)) == 0
                counts.add(shape[value.axis] // one if fits else -1)
                fits = fits and _others(shape, value.axis) == _others(value.shape, value.axis)
            if not fits:
                raise EngineError(
                    f"input {name!r} has the shape {list(shape)}, the plan was made for {list(value.shape)} with the "
                    "batch alone free; open the bundle without a memory limit for other shapes"
                )
        if len(counts) > 1 or 0 in counts:
            found = ", ".join(map(str, sorted(counts)))
            raise EngineError(f"expected one number of images, 1 or more, in all inputs, found {found}")
        return counts.pop() if counts else 1

    def _fits(self, value: ValuePlan, shape: tuple[int, ...]) -> bool:
        if value.axis < 0:
            return shape == value.shape
        return (
            len(shape) == len(value.shape)
            and _others(shape, value.axis) == _others(value.shape, value.axis)
            and shape[value.axis] <= value.shape[value.axis]
        )

    def _cut(self, name: str, array: NDArray[np.generic], start: int, stop: int) -> NDArray[np.generic]:
        value = self._values[name]
        if value.axis < 0:
            return array
        one = _one(value, self.plan.batch)
        part = array[(slice(None),) * value.axis + (slice(start * one, stop * one),)]
        return np.ascontiguousarray(part)

    def _join(self, name: str, parts: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
        """One output of all images. Raises EngineError for one that cannot be told from those of parts."""
        value, spec = self._values[name], self._specs[name]
        if value.axis >= 0:
            return np.concatenate(parts, axis=value.axis)
        # Planned for single images it has no axis to be seen; the bundle says whether it has one, or nothing at all.
        free = spec.batch is None or not spec.shape
        if value.place is not None and parts[0].ndim and free:
            return np.concatenate(parts, axis=0)
        if all(np.array_equal(part, parts[0]) for part in parts):  # of numbers that are the same for any image
            return parts[0]
        raise EngineError(
            f"the output {name!r} cannot be put together from calls of {self.plan.batch}, which the plan was made for; "
            "give fewer images at a time, or open the bundle for larger batches"
        )


def _first_steps(loads: Sequence[Load], plan: Plan) -> list[Load]:
    """The loads with the step each may begin at: a block that is reloaded may not come before the block before it."""
    placed = []
    previous = 0
    for load in loads:
        first = load.first if plan.blocks[load.block].form == "streamed" else previous
        placed.append(Load(load.block, first, load.make))
        previous = load.block + 1
    return placed


def _one(value: ValuePlan, batch: int) -> int:
    """The size along the batch axis of one image."""
    return value.shape[value.axis] // batch


def _shape(value: ValuePlan, batch: int, count: int) -> tuple[int, ...]:
    """The value's shape for `count` images."""
    if value.axis < 0:
        return value.shape
    size = _one(value, batch) * count
    return (*value.shape[: value.axis], size, *value.shape[value.axis + 1 :])


def _others(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
