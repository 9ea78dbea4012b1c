"""The rehearsal: the most frugal plan, really run, tells what a process takes beside everything that was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_devices.process_memory import memory, reset_peak
from edge_runtime.blocks.prepared import PREPARED, WHOLE, Prepared, PreparedWhole, read_json
from edge_runtime.blocks.runner import BlockRunner
from edge_runtime.blocks.whole import WholeRunner
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import EngineError, MemoryLimitError
from edge_runtime.prepare.make import MeasuredFile, find_measured
from edge_runtime.prepare.plans import make_plan

__all__ = ["rehearse"]

_RUNS = 3
# This process's own size changes a little between asking for the smallest limit and planning for it.
_SLACK = 1.1


def rehearse(bundle: Bundle, folder: Path, threads: int, batch: int) -> int:
    """Return the bytes by which the peak of a run differs from the plan's: stacks, code that is touched, Python.

    Negative when it took less.
    """
    measured = find_measured(folder, threads, batch)
    prepared = read_json(Prepared, folder / PREPARED)
    if measured is None or prepared is None:
        raise EngineError(f"{folder} holds no measurements to rehearse; prepare the bundle again")
    frugal = make_plan(bundle, folder, measured, batch, int(_smallest(bundle, folder, measured, batch) * _SLACK))
    reset_peak()  # of planning, when nothing of the plan was there yet
    base = memory().resident
    whole = read_json(PreparedWhole, folder / WHOLE)
    runner: BlockRunner | WholeRunner
    if frugal.whole and whole is not None:
        runner = WholeRunner(frugal, bundle.manifest, folder / whole.graph, threads)
    else:
        runner = BlockRunner(frugal, bundle.manifest, folder, prepared.blocks, threads)
    try:
        feeds = {
            value.name: np.zeros(value.shape, value.dtype)
            for value in runner.plan.values
            if value.name in {spec.name for spec in bundle.manifest.inputs}
        }
        for _ in range(_RUNS):
            runner.run(feeds)
        planned = runner.plan.peak_bytes - runner.plan.base_bytes
        return memory().peak - base - planned
    finally:
        runner.close()


def _smallest(bundle: Bundle, folder: Path, measured: MeasuredFile, batch: int) -> int:
    try:
        make_plan(bundle, folder, measured, batch, 1)
    except MemoryLimitError as error:
        if error.smallest_bytes is not None:
            return error.smallest_bytes
    raise EngineError("the planner names no smallest limit")
