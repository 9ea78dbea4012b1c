"""The plan: what the engine will do, decided before it does it. Plain data; made by planner.py, checked by validate.py.

Steps. A run is a row of steps: 0, while the caller writes the inputs; k + 1, while block k (from 0) computes; and the
last, blocks + 1, while the caller reads the outputs. A buffer lives in a half-open range of steps. Step 0 of the next
run may coincide with the last step of this one.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Union

from edge_runtime.plan.form import Form

__all__ = ["ALIGNMENT", "BlockPlan", "Place", "Plan", "ValuePlan", "unlimited_plan"]

# Of every place in the arena: what direct reads and SIMD loads want, and pages, which are larger on some systems
# (16 KiB on a Raspberry Pi 5).
ALIGNMENT = max(4096, mmap.PAGESIZE)


@dataclass(frozen=True)
class Place:
    """`size` bytes of the arena from `offset`, in use during steps lower <= step < upper."""

    offset: int
    size: int
    lower: int
    upper: int


@dataclass(frozen=True)
class BlockPlan:
    """How one block is held and why.

    `place` is where its weights are streamed to (None unless it is streamed); the loader may write there from the
    place's first step on, out of the compressed file if `packed`. `held_bytes` is memory beside the arena.
    `compute_ms` is for the whole batch, `load_ms` what the loader needs to read and make it ready before each use.
    `laid`: what is streamed is packed for its kernels, which need not pack it at every run.
    """

    file: str
    form: Form
    why: str
    held_bytes: int
    compute_ms: float
    load_ms: float
    place: Union[Place, None] = None
    packed: bool = False
    laid: bool = False


@dataclass(frozen=True)
class ValuePlan:
    """A value between blocks, an input or an output. `shape` is that of the whole batch: `axis`, unless it is -1, is
    `batch` times what it is for one image. `place` None: onnxruntime makes room for the value."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    axis: int
    place: Union[Place, None]


@dataclass(frozen=True)
class Plan:
    """One engine's plan. `whole`: one session holds the whole graph; there are no blocks, and `arena_bytes`
    are what the inputs and outputs take, wherever they lie.

    `batch` images go through block after block together, `micro_batch` of them in one run of a session. `slots` is the
    largest number of blocks whose weights lie in the arena at one time,
    `slot_bytes` the largest of them. onnxruntime's own arena needs `work_bytes` for values inside
    blocks; its first chunk of `work_chunk_bytes` has room for weights that are packed into it as well, whose pages are
    counted with their sessions. `work_cap_bytes` only ends what has no end: packed weights are charged to it, too.

    peak_bytes = base_bytes + overhead_bytes + arena_bytes + work_bytes + held_bytes + moving_bytes, where `held_bytes`
    are all sessions that stay and `moving_bytes` the most that is held for a moment: sessions that are reloaded at one
    time, or what making those that stay takes over the arenas, which are not written to by then. `cached`: weights
    that were read once come out of the page cache. `portable`: why the blocks are the bundle's own, "" where they are
    cut from the whole graph as this machine runs it. `near_bytes`: the smallest limit at which this batch is within
    10 % of the fastest that it can be; 0 where there is no limit. `load_cpu_ms`: the part of `load_ms` that needs a
    core.
    """

    whole: bool
    batch: int
    micro_batch: int
    blocks: tuple[BlockPlan, ...]
    values: tuple[ValuePlan, ...]
    slots: int
    slot_bytes: int
    arena_bytes: int
    work_bytes: int
    work_chunk_bytes: int
    work_cap_bytes: int
    base_bytes: int
    overhead_bytes: int
    held_bytes: int
    moving_bytes: int
    peak_bytes: int
    limit_bytes: Union[int, None]
    latency_ms: float
    compute_ms: float
    load_ms: float
    cached: bool = True
    portable: str = ""
    near_bytes: int = 0
    load_cpu_ms: float = 0.0

    def count(self, form: Form) -> int:
        """Return how many blocks are held in this form."""
        return sum(block.form == form for block in self.blocks)


def unlimited_plan(batch: int, base_bytes: int) -> Plan:
    """The plan of an engine without a limit, for which nothing had to be measured: one session, whatever it takes."""
    return Plan(
        whole=True,
        batch=batch,
        micro_batch=batch,
        blocks=(),
        values=(),
        slots=0,
        slot_bytes=0,
        arena_bytes=0,
        work_bytes=0,
        work_chunk_bytes=0,
        work_cap_bytes=0,
        base_bytes=base_bytes,
        overhead_bytes=0,
        held_bytes=0,
        moving_bytes=0,
        peak_bytes=0,
        limit_bytes=None,
        latency_ms=0.0,
        compute_ms=0.0,
        load_ms=0.0,
    )
