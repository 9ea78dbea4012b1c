"""The plans that could be made for one batch: the whole graph in a session, and the frontier of what blocks can do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from edge_runtime.plan.costs import (
    FORMS,
    RELOADED,
    RESIDENT,
    STREAMED,
    Assignments,
    FormCosts,
    batch_ms,
    block_costs,
    micro_batches,
    work_bytes,
)
from edge_runtime.plan.footprint import rate
from edge_runtime.plan.measurements import Limit, Measurements, Speeds, WholeMeasurement
from edge_runtime.plan.offsets import aligned, arrange, plan_values, windows
from edge_runtime.plan.plan import BlockPlan, Place, Plan
from edge_runtime.plan.residency import frontier
from edge_runtime.plan.why import reasons

__all__ = ["Option", "Task", "block_options", "whole_options"]


# Some kernels pack their weights into that arena and leave holes between the values; a second chunk, twice the first,
# then takes what no hole is large enough for. Its pages are counted where they are used, the cap only ends what has no
# end.
_CAP_FACTOR = 4


@dataclass(frozen=True)
class Task:
    """What is to be planned; `inputs` and `outputs` are the model's."""

    measurements: Measurements
    speeds: Speeds
    limit: Limit
    batch: int
    inputs: frozenset[str]
    outputs: frozenset[str]

    @property
    def always(self) -> int:
        """Return the bytes that every plan has to count."""
        return self.limit.base_bytes + self.measurements.overhead_bytes


@dataclass(frozen=True)
class Option:
    """A plan that could be made. Its peak is `least` bytes or, once the arena is laid out, a little more."""

    latency: float
    least: int
    make: Callable[[], Plan]

    @cached_property
    def plan(self) -> Plan:
        """Make it, once."""
        return self.make()


def whole_options(task: Task) -> list[Option]:
    """Return the plans with the whole graph in one session, one for each micro-batch; none if that was not measured.

    Their arena is what the inputs and outputs take beside it, side by side. In one session the graph computes what its
    blocks compute when all of them stay, by the same kernels and with nothing between them: where it was measured to
    take longer the machine was busy then, and the blocks' time is nearer to the truth.
    """
    whole = task.measurements.whole
    if whole is None:
        return []
    ends = [value for value in task.measurements.values if value.name in task.inputs | task.outputs]
    options = []
    for micro in micro_batches(task.measurements, task.batch, ends):
        ms = min(batch_ms(whole.timings, task.batch, micro), _resident_ms(task, micro))
        if math.isfinite(ms):
            plan = _whole_plan(task, whole, micro, ms)
            options.append(Option(ms, plan.peak_bytes, partial(_same, plan)))
    return options


def block_options(task: Task) -> list[Option]:
    """Return the plans on the frontier of latency against memory; none if the bundle has no blocks."""
    if not task.measurements.blocks:
        return []
    costs = block_costs(task.measurements, task.speeds, task.limit, task.batch, task.outputs)
    found = frontier(costs)
    total = found.rated.total
    return [
        Option(
            float(found.rated.latency[row]),
            task.always + int(total[row]),
            partial(_block_plan, task, costs, found.candidates.take(np.array([row]))),
        )
        for row in range(len(total))
    ]


def _resident_ms(task: Task, micro: int) -> float:
    """Return what all blocks compute when they stay; infinite where that was not measured of every block."""
    blocks = task.measurements.blocks
    times = [form.timings for block in blocks for form in block.forms if form.form == FORMS[RESIDENT]]
    if not blocks or len(times) < len(blocks):
        return math.inf
    return sum(batch_ms(timings, task.batch, micro) for timings in times)


def _same(plan: Plan) -> Plan:
    return plan


def _whole_plan(task: Task, whole: WholeMeasurement, micro: int, ms: float) -> Plan:
    places: dict[str, Place] = {}
    arena, made = 0, 0  # `made`: by onnxruntime, of values without a place, and of parts before they are joined
    ends = [value for value in task.measurements.values if value.name in task.inputs | task.outputs]
    for value in ends:
        size = aligned(value.bytes_of(task.batch))
        if value.planned:
            places[value.name] = Place(arena, size, 0, 3 if value.name in task.outputs else 2)
            arena += size
        if not value.planned or (micro < task.batch and value.name in task.outputs):
            made += size
    work = work_bytes(whole.work, micro) + made
    # The session is made while nothing of the arenas was written to yet.
    moving = max(whole.making_bytes - arena - work, 0)
    peak = task.always + arena + work + whole.held_bytes + moving
    return Plan(
        whole=True,
        batch=task.batch,
        micro_batch=micro,
        blocks=(),
        values=plan_values(ends, task.batch, places),
        slots=0,
        slot_bytes=0,
        arena_bytes=arena,
        work_bytes=work,
        work_chunk_bytes=work + whole.held_bytes,
        work_cap_bytes=_CAP_FACTOR * work + 2 * (whole.held_bytes + whole.making_bytes),
        base_bytes=task.limit.base_bytes,
        overhead_bytes=task.measurements.overhead_bytes,
        held_bytes=whole.held_bytes,
        moving_bytes=moving,
        peak_bytes=peak,
        limit_bytes=task.limit.process_bytes,
        latency_ms=ms,
        compute_ms=ms,
        load_ms=0.0,
        cached=task.limit.cached,
    )


def _block_plan(task: Task, costs: FormCosts, chosen: Assignments) -> Plan:
    measured = task.measurements
    rated = rate(costs, chosen)
    micro, forms = int(chosen.micro[0]), [int(f) for f in chosen.forms[0]]
    spans = windows([f != RESIDENT for f in forms])
    streams = {k: (int(costs.room[k]), spans[k]) for k, f in enumerate(forms) if f == STREAMED}
    arena = arrange(measured, task.batch, task.outputs, streams)
    work, held, moving = int(rated.work[0]), int(rated.held[0]), int(rated.moving[0])
    peak = task.always + arena.size + work + held + moving
    limit = task.limit.process_bytes
    why = reasons(costs, chosen, math.inf if limit is None else limit - peak)
    blocks = tuple(
        BlockPlan(
            file=block.file,
            form=FORMS[f],
            why=why[k],
            held_bytes=int(costs.held[k, f]),
            compute_ms=float(costs.compute[micro, k, f]),
            load_ms=float(costs.load[k, f]),
            place=arena.weights.get(k),
            packed=f == STREAMED and bool(costs.packed[k]),
            laid=block.laid,
        )
        for k, (block, f) in enumerate(zip(measured.blocks, forms, strict=True))
    )
    return Plan(
        whole=False,
        batch=task.batch,
        micro_batch=costs.micros[micro],
        blocks=blocks,
        values=plan_values(measured.values, task.batch, arena.values),
        slots=_most_at_once(list(arena.weights.values()), len(blocks) + 2),
        slot_bytes=max((place.size for place in arena.weights.values()), default=0),
        arena_bytes=arena.size,
        work_bytes=work,
        work_chunk_bytes=work + _packed_between(costs, forms),
        work_cap_bytes=_CAP_FACTOR * work + 2 * _packed(costs, forms),
        base_bytes=task.limit.base_bytes,
        overhead_bytes=measured.overhead_bytes,
        held_bytes=held,
        moving_bytes=moving,
        peak_bytes=peak,
        limit_bytes=limit,
        latency_ms=float(rated.latency[0]),
        compute_ms=sum(block.compute_ms for block in blocks),
        load_ms=sum(block.load_ms for block in blocks),
        cached=task.limit.cached,
        portable=measured.portable,
        load_cpu_ms=sum(float(costs.cpu[k, f]) for k, f in enumerate(forms)),
    )


def _packed(costs: FormCosts, forms: Sequence[int]) -> int:
    """Return the most that sessions with weights of their own may charge to onnxruntime's arena.

    All residents, two sessions that are reloaded one after the other, and what making one takes.
    """
    resident = sum(int(costs.held[k, f]) for k, f in enumerate(forms) if f == RESIDENT)
    reloaded = max((int(costs.held[k, f]) for k, f in enumerate(forms) if f == RELOADED), default=0)
    return resident + 2 * reloaded + max(int(costs.making[k, f]) for k, f in enumerate(forms))


def _packed_between(costs: FormCosts, forms: Sequence[int]) -> int:
    """Return the room in onnxruntime's first chunk for weights that are packed into it: all residents', and of reloaded
    ones those of two blocks and a hole between them."""
    sizes = [int(costs.held[k, f]) if costs.packs[k] else 0 for k, f in enumerate(forms)]
    resident = sum(size for size, f in zip(sizes, forms, strict=True) if f == RESIDENT)
    reloaded = max((size for size, f in zip(sizes, forms, strict=True) if f == RELOADED), default=0)
    return resident + 3 * reloaded


def _most_at_once(places: Sequence[Place], steps: int) -> int:
    return max(sum(place.lower <= step < place.upper for place in places) for step in range(steps))
