"""What every choice costs for one batch: the measurements as arrays, looked up by the search and by the plan.

Axes: m is the micro-batch (an index into `micros`), k the block, f the form (an index into FORMS), s the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import EngineError
from edge_runtime.plan.form import Form
from edge_runtime.plan.measurements import (
    BlockMeasurement,
    FormMeasurement,
    Limit,
    Measurements,
    Speeds,
    Timing,
    ValueMeasurement,
    Work,
)
from edge_runtime.plan.offsets import aligned, values_live

__all__ = [
    "FORMS",
    "RELOADED",
    "RESIDENT",
    "STREAMED",
    "Assignments",
    "FormCosts",
    "batch_ms",
    "batches",
    "block_costs",
    "micro_batches",
    "work_bytes",
]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FORMS: tuple[Form, ...] = ("resident", "streamed", "reloaded")
RESIDENT, STREAMED, RELOADED = range(3)

# Weights below this are not worth moving: a block that has so few is resident if it can be.
_NO_WEIGHTS = 64 * 1024


@dataclass(frozen=True)
class FormCosts:
    """Times in milliseconds for the whole batch, sizes in bytes; `compute` is infinite for a form that is not there.

    `cpu` is the part of `load` that needs a core, `competition` how much a millisecond of it delays computing.
    `making` is what making the session takes on top of `held`; `room` is what the weights take in the arena, `values`
    what the values take there in each step, `work` what onnxruntime's arena needs.
    """

    batch: int
    micros: tuple[int, ...]
    compute: Floats  # [m, k, f]
    load: Floats  # [k, f]
    cpu: Floats  # [k, f]
    held: Ints  # [k, f]
    making: Ints  # [k, f]
    packed: Bools  # [k] streamed out of the compressed file
    packs: Bools  # [k] a session's packed weights lie in onnxruntime's arena
    room: Ints  # [k]
    values: Ints  # [s]
    work: Ints  # [m]
    little: Bools  # [k] weights that are not worth moving
    competition: float

    @property
    def usable(self) -> Bools:
        """Return [k, f]: whether the form is there for some micro-batch."""
        fastest: Floats = self.compute.min(axis=0)
        return np.isfinite(fastest)


@dataclass(frozen=True)
class Assignments:
    """C ways to run the blocks: the micro-batch [C] and the form of each block [C, k], as indices."""

    micro: npt.NDArray[np.int8]
    forms: npt.NDArray[np.int8]

    def take(self, rows: npt.NDArray[Any]) -> Assignments:
        """Return those that the indices or the mask `rows` select."""
        return Assignments(self.micro[rows], self.forms[rows])

    @staticmethod
    def join(parts: Sequence[Assignments]) -> Assignments:
        """Return all of them in one."""
        return Assignments(
            np.concatenate([part.micro for part in parts]), np.concatenate([part.forms for part in parts])
        )


def batches(measurements: Measurements, wanted: int) -> list[int]:
    """Return the batch sizes that can be planned, the largest first, none above `wanted`.

    A graph none of whose values grows takes its one batch at a time. Where a batch cannot be run in parts, only the
    sizes that were measured will do.
    """
    if not _grows(measurements):
        return [1]
    if _divisible(measurements.values):
        return list(range(wanted, 0, -1))
    return sorted((size for size in measurements.batches if size <= wanted), reverse=True) or [wanted]


def micro_batches(measurements: Measurements, batch: int, values: Sequence[ValueMeasurement]) -> list[int]:
    """Return the sizes in which a batch of `values` may be run: measured ones, or all at once."""
    if not _grows(measurements) or not _divisible(values):
        return [batch]
    return [size for size in measurements.batches if size <= batch] or [batch]


def batch_ms(timings: Sequence[Timing], batch: int, micro: int) -> float:
    """Return the time of `batch` images, `micro` at a time; infinite where that was not measured.

    What is left over for the last run is interpolated between measured sizes, or costs what the next larger one does.
    """
    full, rest = divmod(batch, micro)
    return full * _run_ms(timings, micro) + (_run_ms(timings, rest) if rest else 0.0)


def work_bytes(work: Sequence[Work], micro: int) -> int:
    """Return the memory of a run on `micro` images: as measured, or that of the next larger size."""
    return min(((entry.batch, entry.bytes) for entry in work if entry.batch >= micro), default=(0, 0))[1]


def block_costs(
    measurements: Measurements, speeds: Speeds, limit: Limit, batch: int, outputs: frozenset[str]
) -> FormCosts:
    """Look everything up for `batch` images. Raises EngineError for a block that no form was measured of."""
    blocks = measurements.blocks
    shape = (len(blocks), len(FORMS))
    load, cpu = np.zeros(shape), np.zeros(shape)
    held, making = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    packed, packs = np.zeros(len(blocks), np.bool_), np.zeros(len(blocks), np.bool_)
    micros = micro_batches(measurements, batch, measurements.values)
    compute = np.full((len(micros), *shape), math.inf)
    for k, block in enumerate(blocks):
        for form in block.forms:
            f = FORMS.index(form.form)
            compute[:, k, f] = [batch_ms(form.timings, batch, micro) for micro in micros]
            held[k, f], making[k, f] = form.held_bytes, form.making_bytes
            packs[k] |= form.packs_in_arena
            if f != RESIDENT:
                load[k, f], cpu[k, f], is_packed = _load(block, form, None if limit.cached else speeds)
                packed[k] |= is_packed
        if block.weight_bytes < _NO_WEIGHTS:
            compute[np.isfinite(compute[:, k, RESIDENT]), k, RESIDENT + 1 :] = math.inf
        if not np.isfinite(compute[:, k]).any():
            raise EngineError(
                f"block {block.file} has no form that was measured for batch {batch}; prepare the bundle again"
            )
    good = np.isfinite(compute).any(axis=2).all(axis=1)  # [m]
    if not good.any():
        raise EngineError(f"no micro-batch of batch {batch} was measured for all blocks; prepare the bundle again")
    kept = tuple(micro for micro, is_good in zip(micros, good, strict=True) if is_good)
    planned, unplanned = values_live(measurements, batch, outputs)
    return FormCosts(
        batch=batch,
        micros=kept,
        compute=compute[good],
        load=load,
        cpu=cpu,
        held=held,
        making=making,
        packed=packed,
        packs=packs,
        room=np.array([aligned(block.weight_bytes) for block in blocks], np.int64),
        values=np.array(planned, np.int64),
        work=np.array([_most_work(blocks, micro, unplanned) for micro in kept], np.int64),
        little=np.array([block.weight_bytes < _NO_WEIGHTS for block in blocks]),
        # A thread that computing does not use is the loader's own; else both share the cores.
        competition=1 / speeds.cores if measurements.threads >= speeds.cores else 0.0,
    )


def _load(block: BlockMeasurement, form: FormMeasurement, storage: Speeds | None) -> tuple[float, float, bool]:
    """Return what a load takes, how much of that needs a core, and whether it is from the compressed file.

    `storage`: what the weights are read from, None for the page cache, out of which plain weights are faster.
    """
    if storage is None:
        return form.load_ms, form.load_ms, False
    reading = 1e3 * block.stored_bytes / storage.read_bytes_per_s
    if form.form != "streamed":
        return reading + form.load_ms, form.load_ms, False
    # Past the page cache nothing is copied: what is read is where it is needed.
    packed = 1e3 * block.packed_bytes / storage.read_bytes_per_s + block.unpack_ms
    if block.packed_bytes and packed < reading:
        return packed, block.unpack_ms, True
    return reading, storage.read_cpu * reading, False


def _run_ms(timings: Sequence[Timing], images: int) -> float:
    known = {timing.batch: timing.ms for timing in timings}
    if images in known:
        return known[images]
    below, above = [size for size in known if size < images], [size for size in known if size > images]
    if not above:
        return math.inf
    high = min(above)
    if not below:
        return known[high]
    low = max(below)
    return known[low] + (known[high] - known[low]) * (images - low) / (high - low)


def _most_work(blocks: Sequence[BlockMeasurement], micro: int, unplanned: Sequence[int]) -> int:
    """Return the most over blocks of a run's memory and the values that onnxruntime has made room for."""
    return max(work_bytes(block.work, micro) + unplanned[k + 1] for k, block in enumerate(blocks))


def _grows(measurements: Measurements) -> bool:
    return any(value.axis >= 0 for value in measurements.values)


def _divisible(values: Sequence[ValueMeasurement]) -> bool:
    return all(value.planned and value.axis == 0 for value in values)
