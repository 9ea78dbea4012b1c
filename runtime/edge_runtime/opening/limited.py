"""Opening a bundle within a memory limit: prepared for this machine, planned for the memory that is left."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.blocks.prepared import PREPARED, WHOLE, Prepared, PreparedWhole, read_json
from edge_runtime.blocks.runner import BlockRunner
from edge_runtime.blocks.spill import spill_bytes
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.blocks.whole import WholeRunner
from edge_runtime.bundle.bundle import Bundle, read_bundle
from edge_runtime.errors import EngineError, OutputError
from edge_runtime.opening.options import OpenOptions, check_options
from edge_runtime.ort.runner import Runner
from edge_runtime.plan.plan import Plan
from edge_runtime.prepare.cache import PreparedCache, usual_cache
from edge_runtime.prepare.make import MeasuredFile, find_measured, prepare_in
from edge_runtime.prepare.plans import make_plan
from edge_runtime.prepare.request import ProgressCall

__all__ = ["open_limited", "plan_bundle"]


def open_limited(
    bundle: Bundle, cache: PreparedCache, options: OpenOptions, threads: int, progress: ProgressCall | None
) -> tuple[Runner, Plan]:
    """Open a bundle within `options.memory_limit`. Raises what open_bundle raises."""
    folder = prepare_in(cache, bundle, options.batch, threads, options.preparing_limit, progress)
    measured = find_measured(folder, threads, options.batch)
    prepared = read_json(Prepared, folder / PREPARED)
    whole = read_json(PreparedWhole, folder / WHOLE)
    if measured is None or prepared is None:
        raise _changed(folder)
    reserve = options.reserve_bytes + (_spill_bytes(bundle, measured, options.batch) if options.preempt else 0)
    plan = make_plan(bundle, folder, measured, options.batch, options.memory_limit, reserve)
    if plan.whole:
        if whole is None:
            raise _changed(folder)
        if whole.weights is not None:  # which onnxruntime reads by itself
            FileStorage(folder).check(whole.weights)
        return WholeRunner(plan, bundle.manifest, folder / whole.graph, threads), plan
    blocks = BlockRunner(
        plan, bundle.manifest, folder, prepared.blocks, threads, options.lock_memory, preempt=options.preempt
    )
    return blocks, plan


def plan_bundle(path: Path | str, options: OpenOptions, progress: ProgressCall | None = None) -> Plan:
    """Return the plan that a bundle would be run by, prepared and measured for it. Raises what open_bundle raises."""
    threads, _on_cpu = check_options(options)
    bundle = read_bundle(path, check_hashes=False)
    try:
        cache = usual_cache() if options.use_cache else PreparedCache(None)
    except OutputError:  # a plan is made all the same
        cache = PreparedCache(None)
    try:
        folder = prepare_in(cache, bundle, options.batch, threads, options.preparing_limit, progress)
        measured = find_measured(folder, threads, options.batch)
        if measured is None:
            raise _changed(folder)
        return make_plan(bundle, folder, measured, options.batch, options.memory_limit, options.reserve_bytes)
    finally:
        cache.close()


def _spill_bytes(bundle: Bundle, measured: MeasuredFile, batch: int) -> int:
    """What a run that is put aside between two blocks takes; 0 where a value's size is not known, and it cannot be."""
    values = measured.content.measurements.values
    if not all(value.planned for value in values):
        return 0
    sizes = {value.name: value.bytes_of(batch) for value in values}
    inputs, outputs = ([spec.name for spec in specs] for specs in (bundle.manifest.inputs, bundle.manifest.outputs))
    return spill_bytes(measured.content.measurements.blocks, inputs, outputs, sizes)


def _changed(folder: Path) -> EngineError:
    return EngineError(f"{folder} was changed while it was used; remove it and start again")
