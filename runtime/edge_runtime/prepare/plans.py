"""Plans for this process as it is now: found in the prepared folder, or made in a process of their own."""

from __future__ import annotations

import contextlib
import gc
import zlib
from dataclasses import replace
from pathlib import Path

from edge_devices import available_memory
from edge_devices.process_memory import memory, return_freed_memory, tune_allocator
from edge_runtime.blocks.prepared import read_json
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import EngineError
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.plan.measurements import Limit
from edge_runtime.plan.plan import Plan
from edge_runtime.prepare.make import MeasuredFile
from edge_runtime.prepare.request import PlanRequest, call, quiet

__all__ = ["make_plan"]

# A process's own size differs by some pages from start to start. The plan counts with the next whole step, and at least
# with half of one more than there is now.
_STEP = 1 << 20
_KEPT_PLANS = 16
# Of the plan's file and of how the planner decides; another number leaves every older plan unread.
_VERSION = 6


def make_plan(
    bundle: Bundle, folder: Path, measured: MeasuredFile, batch: int, limit: int | None, reserve: int = 0
) -> Plan:
    """Plan for this process as it is now, with `limit` bytes for all of it (None: no limit).

    `reserve` of them are kept free for what the process will take beside the engine. The plan is kept in the prepared
    `folder`, and found there at the next start. Raises MemoryLimitError for a limit that cannot be met.
    """
    import_onnxruntime()  # what it takes is part of the base
    tune_allocator()
    gc.collect()
    return_freed_memory()
    now = memory().resident + reserve
    base = -(-(now + _STEP // 2) // _STEP) * _STEP
    streamed = sum(block.stored_bytes for block in measured.content.measurements.blocks)
    left = available_memory()
    # The page cache has what the machine, or the cgroup, leaves beside what this process may still take.
    cached = left is None or left - max((limit or 0) - base, 0) > streamed
    wanted = Limit(limit, base, batch, cached, reserve)
    path = _path(folder, measured, wanted)
    known = read_json(Plan, path)
    if known is not None and base <= known.base_bytes <= base + _STEP:
        return known
    request = PlanRequest(str(bundle.path), str(measured.path), str(path), wanted)
    call("edge_runtime.prepare.plan_child", request, quiet)
    made = read_json(Plan, path)
    if made is None:
        raise EngineError(f"{path} was removed while it was used; start again")
    _prune(folder)
    return made


def _path(folder: Path, measured: MeasuredFile, wanted: Limit) -> Path:
    """The plan's file, named by all that it was made from but the base."""
    text = repr((_VERSION, measured.content, replace(wanted, base_bytes=0, reserve_bytes=0)))
    return folder / f"plan-{zlib.crc32(text.encode()):08x}.json"


def _prune(folder: Path) -> None:
    """Remove the oldest plans."""
    with contextlib.suppress(OSError):
        plans = sorted(folder.glob("plan-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in plans[_KEPT_PLANS:]:
            path.unlink(missing_ok=True)
