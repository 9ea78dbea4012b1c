"""From measurements to a running engine: plan for the memory that is left, then open the blocks."""

from __future__ import annotations

import gc
from pathlib import Path

from edge_devices import available_memory
from edge_runtime.blocks.process import memory, return_freed_memory, tune_allocator
from edge_runtime.blocks.runner import BlockRunner
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.bundle import Bundle
from edge_runtime.ort_process import import_onnxruntime
from edge_runtime.plan.measurements import Limit
from edge_runtime.plan.plan import Plan
from edge_runtime.plan.planner import plan
from edge_runtime.prepared.files import Measured, Prepared

__all__ = ["make_plan", "open_blocks"]


def make_plan(bundle: Bundle, measured: Measured, batch: int, limit: int | None, reserve: int = 0) -> Plan:
    """Plan for this process as it is now, with `limit` bytes for all of it (None: no limit).

    `reserve` of them are kept free for what the process will take beside the engine.

    Raises MemoryLimitError for a limit that cannot be met.
    """
    import_onnxruntime()  # what it takes is part of the base
    tune_allocator()
    gc.collect()
    return_freed_memory()
    base = memory().resident + reserve
    streamed = sum(block.stored_bytes for block in measured.measurements.blocks)
    left = available_memory()
    # The page cache has what the machine, or the cgroup, leaves beside what this process may still take.
    cached = left is None or left - max((limit or 0) - base, 0) > streamed
    return plan(bundle.manifest, measured.measurements, measured.profile, Limit(limit, base, batch, cached))


def open_blocks(
    bundle: Bundle, folder: Path, prepared: Prepared, made: Plan, threads: int, lock_memory: bool = False
) -> BlockRunner:
    """Open the blocks of a plan out of the prepared folder."""
    storage = FileStorage(folder, direct=not made.cached)
    return BlockRunner(made, bundle.manifest, folder, prepared.blocks, storage, threads, lock_memory)
