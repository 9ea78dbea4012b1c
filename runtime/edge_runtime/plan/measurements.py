"""What prepare measured of a bundle on this machine: the planner's only view of the world.

Bytes are bytes of memory unless they are called stored; times are milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Union

import numpy as np

from edge_runtime.plan.form import Form

__all__ = [
    "BlockMeasurement",
    "FormMeasurement",
    "Limit",
    "Measurements",
    "Speeds",
    "Timing",
    "ValueMeasurement",
    "WholeMeasurement",
    "Work",
]


@dataclass(frozen=True)
class Timing:
    """One run on `batch` images takes `ms`."""

    batch: int
    ms: float


@dataclass(frozen=True)
class Work:
    """onnxruntime's arena needs `bytes` for values inside a graph while it runs on `batch` images."""

    batch: int
    bytes: int


@dataclass(frozen=True)
class FormMeasurement:
    """One way to hold one block that was seen to give the right answer.

    `held_bytes`: memory beside the arena while the session exists: packed weights and the graph (resident, reloaded),
    the graph alone (streamed). `making_bytes`: what making the session takes for a moment on top of that.
    `load_ms`: the loader's time to make it ready for one use with the file in the page cache: copying, unpacking and
    checking (streamed), making the session (reloaded), 0 (resident). `packs_in_arena`: its packed weights lie between
    the values in onnxruntime's arena (counted in held_bytes), so there have to be holes for them.
    """

    form: Form
    held_bytes: int
    making_bytes: int
    load_ms: float
    timings: tuple[Timing, ...]
    packs_in_arena: bool = False


@dataclass(frozen=True)
class BlockMeasurement:
    """One block. `weight_bytes` is its room in the arena when it is streamed, `stored_bytes` what is read for it.

    Where `packed_bytes` is not 0 a compressed copy of its weights was measured to load faster from cold storage: that
    many bytes are read instead, and unpacking takes `unpack_ms` in place of the streamed form's load_ms. `laid`: what
    is streamed is packed for its kernels already (blocks/laying.py).
    """

    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight_bytes: int
    stored_bytes: int
    forms: tuple[FormMeasurement, ...]
    work: tuple[Work, ...]
    packed_bytes: int = 0
    unpack_ms: float = 0.0
    laid: bool = False


@dataclass(frozen=True)
class ValueMeasurement:
    """A value that enters or leaves a block, with its shape for one image.

    `axis` is the one dimension that grows with the batch (its size for N images is N times that for one), -1 when
    none does. `planned` False: the shape depends on the data, so onnxruntime makes room for the value at each run.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    axis: int
    planned: bool = True

    def shape_of(self, batch: int) -> tuple[int, ...]:
        """Return the shape for `batch` images."""
        return tuple(size * batch if axis == self.axis else size for axis, size in enumerate(self.shape))

    def bytes_of(self, batch: int) -> int:
        """Return the bytes for `batch` images."""
        return int(np.dtype(self.dtype).itemsize) * math.prod(self.shape_of(batch))


@dataclass(frozen=True)
class WholeMeasurement:
    """The whole graph in one session: memory it holds, what making it takes for a moment, runs, their memory."""

    held_bytes: int
    making_bytes: int
    timings: tuple[Timing, ...]
    work: tuple[Work, ...]


@dataclass(frozen=True)
class Measurements:
    """Everything that was measured of one bundle with `threads` threads.

    `batches`: the batch sizes that were measured, ascending. `overhead_bytes`: what a process grows by while it runs
    beside everything listed here (stacks, code that is touched, the interpreter), seen in a rehearsal. `portable`: why
    the blocks are the bundle's own, "" where they are cut from the whole lowered graph.
    """

    threads: int
    batches: tuple[int, ...]
    values: tuple[ValueMeasurement, ...]
    blocks: tuple[BlockMeasurement, ...]
    whole: Union[WholeMeasurement, None]
    overhead_bytes: int
    portable: str = ""


@dataclass(frozen=True)
class Speeds:
    """What the machine does: bytes read from storage per second, cold and out of the page cache, and its cores.

    `read_cpu`: the part of a second of reading past the page cache for which a core is busy.
    """

    read_bytes_per_s: float
    cached_bytes_per_s: float
    cores: int
    read_cpu: float = 0.0


@dataclass(frozen=True)
class Limit:
    """What a plan has to fit: `process_bytes` for the whole process (None: no limit), of which the interpreter and the
    libraries took `base_bytes` before the engine was opened, for calls of `batch` images. `reserve_bytes` of the base
    are not taken yet: they are kept free for the caller's frames.

    `cached`: whether weights that were read once will come out of the page cache the next time.
    """

    process_bytes: Union[int, None]
    base_bytes: int
    batch: int
    cached: bool = True
    reserve_bytes: int = 0
