"""The validator names what is wrong with a plan, whatever made it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from plan_cases import BASE, SPEEDS, make_chain

from edge_runtime.plan.measurements import Limit, Measurements
from edge_runtime.plan.plan import BlockPlan, Plan, ValuePlan
from edge_runtime.plan.planner import plan
from edge_runtime.plan.validate import Flaw, PlanError, validate


@pytest.fixture(scope="module")
def streamed() -> tuple[Plan, Measurements]:
    """A plan of four blocks, all streamed, for a batch of 4 in two runs."""
    manifest, measurements = make_chain(4, 4, batches=(1, 2), forms=("streamed",))
    return plan(manifest, measurements, SPEEDS, Limit(200_000_000, BASE, 4)), measurements


@pytest.fixture(scope="module")
def reloaded() -> tuple[Plan, Measurements]:
    manifest, measurements = make_chain(4, 3, batches=(1,), forms=("reloaded",))
    return plan(manifest, measurements, SPEEDS, Limit(None, BASE, 1)), measurements


def block(number: int, **changes: Any) -> Callable[[Plan], Plan]:
    def change(found: Plan) -> Plan:
        blocks: list[BlockPlan] = list(found.blocks)
        blocks[number] = replace(blocks[number], **changes)
        return replace(found, blocks=tuple(blocks))

    return change


def value(number: int, **changes: Any) -> Callable[[Plan], Plan]:
    def change(found: Plan) -> Plan:
        values: list[ValuePlan] = list(found.values)
        values[number] = replace(values[number], **changes)
        return replace(found, values=tuple(values))

    return change


def place(kind: str, number: int, **changes: Any) -> Callable[[Plan], Plan]:
    def change(found: Plan) -> Plan:
        items: tuple[Any, ...] = getattr(found, kind)
        moved = replace(items[number].place, **changes)
        return (block if kind == "blocks" else value)(number, place=moved)(found)

    return change


def figures(**changes: int) -> Callable[[Plan], Plan]:
    """Figures changed by so much, the peak with them."""

    def change(found: Plan) -> Plan:
        new = {name: getattr(found, name) + more for name, more in changes.items()}
        in_sum = {"arena_bytes", "work_bytes", "held_bytes", "moving_bytes", "overhead_bytes"}
        peak = found.peak_bytes + sum(more for name, more in changes.items() if name in in_sum)
        return replace(found, **{"peak_bytes": peak, **new})

    return change


def beside(found: Plan) -> Plan:
    """The second block's weights where the first one's are."""
    first = found.blocks[0].place
    assert first is not None
    return place("blocks", 1, offset=first.offset)(found)


CASES: list[tuple[Flaw, str, Callable[[Plan], Plan]]] = [
    ("wrong blocks", "the plan has the blocks", lambda found: replace(found, blocks=found.blocks[1:])),
    ("wrong blocks", "block-00.onnx is resident, which was not measured", block(0, form="resident")),
    ("wrong batch", "micro-batch <= batch", lambda found: replace(found, micro_batch=5)),
    ("wrong value", "'image' is float16", value(0, dtype="float16")),
    ("wrong value", "'image' is float32", value(0, shape=(1, 3, 32, 32))),
    ("wrong value", "'image' is not in the plan", lambda found: replace(found, values=found.values[1:])),
    (
        "wrong value",
        "was not measured",
        lambda found: replace(found, values=(*found.values, replace(found.values[0], name="x"))),
    ),
    ("wrong value", "there twice", lambda found: replace(found, values=found.values + found.values[:1])),
    ("missing place", "the value 'image' has no place", value(0, place=None)),
    ("missing place", "the weights of block-00.onnx have no place", block(0, place=None)),
    ("place too small", "the value 'image' is 49152 bytes", place("values", 0, size=45_056)),
    ("place too small", "the weights of block-02.onnx are", place("blocks", 2, size=4096)),
    ("misaligned place", "no multiple of 4096", place("values", 0, offset=64)),
    ("beyond the arena", "the value 'image' lie", place("values", 0, offset=1 << 40)),
    ("beyond the arena", "the value 'image' lie", place("values", 0, offset=-4096)),
    ("alive too short", "the value 'image' are needed in steps 0..2", place("values", 0, upper=1)),
    ("alive too short", "the value 'v3' are needed in steps 4..6, placed in 0..5", place("values", 4, upper=5)),
    ("alive too short", "the weights of block-01.onnx are needed in steps 1..3", place("blocks", 1, lower=2)),
    ("overlap", "the weights of block-00.onnx and the weights of block-01.onnx share bytes", beside),
    ("wrong sum", "peak_bytes is", lambda found: replace(found, peak_bytes=found.peak_bytes - 1)),
    ("wrong sum", "held_bytes is", figures(held_bytes=-1)),
    ("wrong sum", "moving_bytes is", figures(moving_bytes=-1)),
    ("wrong sum", "work_bytes is", figures(work_bytes=-1_000_000)),
    ("wrong sum", "overhead_bytes is", figures(overhead_bytes=-1)),
    ("wrong sum", "slots is 1, below the 2", figures(slots=-1)),
    ("wrong sum", "slot_bytes is", figures(slot_bytes=-1)),
    ("wrong sum", "work_cap_bytes is", figures(work_cap_bytes=-200_000_000)),
    ("over the limit", "the peak is", figures(arena_bytes=200_000_000)),
]


@pytest.mark.parametrize(("flaw", "words", "change"), CASES)
def test_each_flaw_is_named(
    streamed: tuple[Plan, Measurements], flaw: Flaw, words: str, change: Callable[[Plan], Plan]
) -> None:
    found, measurements = streamed
    with pytest.raises(PlanError, match="report it as a defect") as caught:
        validate(change(found), measurements)
    assert caught.value.flaw == flaw
    assert words in str(caught.value)


def test_a_sound_plan_passes(streamed: tuple[Plan, Measurements], reloaded: tuple[Plan, Measurements]) -> None:
    for found, measurements in (streamed, reloaded):
        validate(found, measurements)


def test_two_sessions_that_are_reloaded_one_after_the_other_are_counted_together(
    reloaded: tuple[Plan, Measurements],
) -> None:
    found, measurements = reloaded
    forms = [measured.forms[0] for measured in measurements.blocks]
    pairs = [one.held_bytes + other.held_bytes + other.making_bytes for one, other in itertools.pairwise(forms)]
    assert found.moving_bytes == max(pairs)
    with pytest.raises(PlanError, match="moving_bytes"):
        validate(figures(moving_bytes=-1)(found), measurements)


def test_values_that_cannot_be_cut_are_not_run_in_parts() -> None:
    manifest, measurements = make_chain(4, 2, batches=(1, 4), axis=1)
    found = plan(manifest, measurements, SPEEDS, Limit(None, BASE, 4))
    with pytest.raises(PlanError, match="cannot be cut in micro-batches of 2"):
        validate(replace(found, micro_batch=2), measurements)


def test_a_whole_graph_that_was_not_measured_is_refused() -> None:
    manifest, measurements = make_chain(4, 2, whole=True)
    found = plan(manifest, replace(measurements, blocks=()), SPEEDS, Limit(None, BASE, 1))
    assert found.whole
    validate(found, measurements)
    with pytest.raises(PlanError, match="the whole graph, which was not measured"):
        validate(found, replace(measurements, whole=None))
