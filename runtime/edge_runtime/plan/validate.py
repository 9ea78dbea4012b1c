"""Check a plan by what a plan has to be: this module shares no code with the planner whose work it marks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

from edge_runtime.errors import EngineError
from edge_runtime.plan.measurements import FormMeasurement, Measurements
from edge_runtime.plan.plan import ALIGNMENT, BlockPlan, Place, Plan

__all__ = ["Flaw", "PlanError", "validate"]

Flaw = Literal[
    "wrong blocks",
    "wrong batch",
    "wrong value",
    "missing place",
    "place too small",
    "misaligned place",
    "beyond the arena",
    "alive too short",
    "overlap",
    "wrong sum",
    "over the limit",
]


class PlanError(EngineError):
    """A plan that must not be run; `flaw` names the cause."""

    def __init__(self, flaw: Flaw, details: str) -> None:
        super().__init__(f"{flaw}: {details}; do not run this plan and report it as a defect")
        self.flaw: Flaw = flaw


def validate(plan: Plan, measurements: Measurements) -> None:
    """Return if the plan is sound, else raise PlanError.

    Sound: every value and every streamed block has a place in the arena, aligned, large enough, for as long as it is
    needed (plan.py says what the steps are), and shares no byte with another one at any step; every block has a form
    that was measured; what the plan says it takes is at least what was measured, its peak is the sum, and within its
    limit.
    """
    _check_batch(plan, measurements)
    if not plan.whole:
        _check_blocks(plan, measurements)
        _check_weights(plan, measurements)
    _check_values(plan, measurements)
    _check_places(plan)
    _check_sums(plan, measurements)


def _check_batch(plan: Plan, measurements: Measurements) -> None:
    if not 1 <= plan.micro_batch <= plan.batch:
        raise PlanError("wrong batch", f"expected 1 <= micro-batch <= batch, found {plan.micro_batch} and {plan.batch}")
    if plan.micro_batch < plan.batch:
        within = {value.name for value in plan.values}
        for value in measurements.values:
            if value.name in within and (value.axis != 0 or not value.planned):
                raise PlanError("wrong batch", f"{value.name!r} cannot be cut in micro-batches of {plan.micro_batch}")


def _check_blocks(plan: Plan, measurements: Measurements) -> None:
    found, expected = [block.file for block in plan.blocks], [block.file for block in measurements.blocks]
    if found != expected:
        raise PlanError("wrong blocks", f"the plan has the blocks {found}, the measurements {expected}")
    for block, measured in zip(plan.blocks, measurements.blocks, strict=True):
        if block.form not in {form.form for form in measured.forms}:
            raise PlanError("wrong blocks", f"{block.file} is {block.form}, which was not measured")


def _check_weights(plan: Plan, measurements: Measurements) -> None:
    before = 0  # the step in which the loader may begin: that of the loaded block before
    for k, (block, measured) in enumerate(zip(plan.blocks, measurements.blocks, strict=True)):
        if block.form == "streamed":
            if block.place is None:
                raise PlanError("missing place", f"the weights of {block.file} have no place")
            if block.place.size < measured.weight_bytes:
                raise PlanError(
                    "place too small",
                    f"the weights of {block.file} are {measured.weight_bytes} bytes, their place {block.place.size}",
                )
            _check_alive(f"the weights of {block.file}", block.place, before, k + 2)
        elif block.place is not None:
            raise PlanError("wrong blocks", f"{block.file} is {block.form} and has a place for weights")
        if block.form != "resident":
            before = k + 1


def _check_values(plan: Plan, measurements: Measurements) -> None:
    planned = {value.name: value for value in plan.values}
    if len(planned) < len(plan.values):
        raise PlanError("wrong value", "a value is there twice")
    for measured in measurements.values:
        if plan.whole and measured.name not in planned:
            continue
        value = planned.pop(measured.name, None)
        if value is None:
            raise PlanError("wrong value", f"{measured.name!r} is not in the plan")
        shape = measured.shape_of(plan.batch)
        if (value.dtype, value.shape, value.axis) != (measured.dtype, shape, measured.axis):
            raise PlanError(
                "wrong value", f"{value.name!r} is {value.dtype} {value.shape}, not {measured.dtype} {shape}"
            )
        if not measured.planned:
            continue
        if value.place is None:
            raise PlanError("missing place", f"the value {value.name!r} has no place")
        if value.place.size < measured.bytes_of(plan.batch):
            raise PlanError(
                "place too small",
                f"the value {value.name!r} is {measured.bytes_of(plan.batch)} bytes, its place {value.place.size}",
            )
        if not plan.whole:
            _check_alive(f"the value {value.name!r}", value.place, *_needed(measured.name, measurements))
    if planned:
        raise PlanError("wrong value", f"{next(iter(planned))!r} is in the plan and was not measured")


def _needed(name: str, measurements: Measurements) -> tuple[int, int]:
    """Return the steps from which and up to which a value is needed, the second one not included."""
    made = [k + 1 for k, block in enumerate(measurements.blocks) if name in block.outputs]
    read = [k + 1 for k, block in enumerate(measurements.blocks) if name in block.inputs]
    first = made[0] if made else 0
    # What a block makes and no block reads is for the caller, who reads it in the last step.
    if made and not read:
        return first, len(measurements.blocks) + 2
    return first, max(read, default=0) + 1


def _check_alive(what: str, place: Place, lower: int, upper: int) -> None:
    if place.lower > lower or place.upper < upper:
        raise PlanError(
            "alive too short", f"{what} are needed in steps {lower}..{upper}, placed in {place.lower}..{place.upper}"
        )


def _places(plan: Plan) -> Iterator[tuple[str, Place]]:
    for value in plan.values:
        if value.place is not None:
            yield f"the value {value.name!r}", value.place
    for block in plan.blocks:
        if block.place is not None:
            yield f"the weights of {block.file}", block.place


def _check_places(plan: Plan) -> None:
    places = list(_places(plan))
    for what, place in places:
        if place.offset % ALIGNMENT:
            raise PlanError("misaligned place", f"{what} lie at {place.offset}, no multiple of {ALIGNMENT}")
        if place.offset < 0 or place.offset + place.size > plan.arena_bytes:
            end = place.offset + place.size
            raise PlanError("beyond the arena", f"{what} lie at {place.offset}..{end} of {plan.arena_bytes}")
    for (what, one), (other_what, other) in itertools.combinations(places, 2):
        together = one.lower < other.upper and other.lower < one.upper
        if together and one.offset < other.offset + other.size and other.offset < one.offset + one.size:
            raise PlanError("overlap", f"{what} and {other_what} share bytes and are alive at the same step")


def _check_sums(plan: Plan, measurements: Measurements) -> None:
    parts = {
        "base_bytes": plan.base_bytes,
        "overhead_bytes": plan.overhead_bytes,
        "arena_bytes": plan.arena_bytes,
        "work_bytes": plan.work_bytes,
        "held_bytes": plan.held_bytes,
        "moving_bytes": plan.moving_bytes,
    }
    for name, size in parts.items():
        if size < 0:
            raise PlanError("wrong sum", f"{name} is {size}")
    if plan.peak_bytes != sum(parts.values()):
        raise PlanError("wrong sum", f"peak_bytes is {plan.peak_bytes}, its parts make {sum(parts.values())}")
    for name, found, least in _least(plan, measurements):
        if found < least:
            raise PlanError("wrong sum", f"{name} is {found}, below the {least} that were measured")
    if plan.limit_bytes is not None and plan.peak_bytes > plan.limit_bytes:
        raise PlanError("over the limit", f"the peak is {plan.peak_bytes} bytes, the limit {plan.limit_bytes}")


def _least(plan: Plan, measurements: Measurements) -> Iterator[tuple[str, int, int]]:
    """Yield what each figure of the plan is and at least has to be."""
    yield "overhead_bytes", plan.overhead_bytes, measurements.overhead_bytes
    if plan.whole:
        whole = measurements.whole
        if whole is None:
            raise PlanError("wrong blocks", "the plan runs the whole graph, which was not measured")
        yield "held_bytes", plan.held_bytes, whole.held_bytes
        yield "moving_bytes", plan.moving_bytes, whole.making_bytes - plan.arena_bytes - plan.work_bytes
        work = [entry.bytes for entry in whole.work if entry.batch >= plan.micro_batch]
        yield "work_bytes", plan.work_bytes, min(work, default=0)
        yield "work_chunk_bytes", plan.work_chunk_bytes, plan.work_bytes
        yield "work_cap_bytes", plan.work_cap_bytes, plan.work_bytes + plan.held_bytes
        return
    forms = [_form(block, measurements, k) for k, block in enumerate(plan.blocks)]
    yield "held_bytes", plan.held_bytes, sum(form.held_bytes for form in forms if form.form != "reloaded")
    yield "moving_bytes", plan.moving_bytes, _moving(forms, plan.arena_bytes + plan.work_bytes)
    for block, form in zip(plan.blocks, forms, strict=True):
        yield f"held_bytes of {block.file}", block.held_bytes, form.held_bytes
    for measured in measurements.blocks:
        work = [entry.bytes for entry in measured.work if entry.batch >= plan.micro_batch]
        yield "work_bytes", plan.work_bytes, min(work, default=0)
    resident = sum(form.held_bytes for form in forms if form.form == "resident")
    yield "work_chunk_bytes", plan.work_chunk_bytes, plan.work_bytes
    yield "work_cap_bytes", plan.work_cap_bytes, plan.work_bytes + resident
    slots = [block.place for block in plan.blocks if block.place is not None]
    yield "slot_bytes", plan.slot_bytes, max((place.size for place in slots), default=0)
    for step in range(len(forms) + 2):
        yield "slots", plan.slots, sum(place.lower <= step < place.upper for place in slots)


def _moving(forms: list[FormMeasurement], arenas: int) -> int:
    """Return the most that sessions take for a moment: while a block is reloaded the one before may still be there.

    Those that stay are made at the start, when the arenas, so many bytes, were not written to.
    """
    most = max((form.making_bytes - arenas for form in forms if form.form != "reloaded"), default=0)
    before = 0
    for form in forms:
        if form.form == "reloaded":
            most = max(most, before + form.held_bytes + form.making_bytes)
        if form.form != "resident":
            before = form.held_bytes if form.form == "reloaded" else 0
    return most


def _form(block: BlockPlan, measurements: Measurements, k: int) -> FormMeasurement:
    return next(form for form in measurements.blocks[k].forms if form.form == block.form)
