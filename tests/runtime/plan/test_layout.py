"""Layouts of the arena: always valid, never below the bound, near it on plans as they are made."""

from __future__ import annotations

import mmap
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_cases import SPEEDS, make_chain

from edge_runtime.plan.layout import Buffer, Lifespan, lay_out, lower_bound
from edge_runtime.plan.measurements import Limit
from edge_runtime.plan.options import Task, block_options
from edge_runtime.plan.plan import ALIGNMENT


def buffers(*rows: tuple[int, int, int]) -> list[Buffer]:
    return [Buffer(f"b{i}", Lifespan(lower, upper), size) for i, (lower, upper, size) in enumerate(rows)]


@st.composite
def problems(draw: st.DrawFn) -> list[Buffer]:
    rows = draw(st.lists(st.tuples(st.integers(-5, 12), st.integers(1, 8), st.integers(0, 40)), max_size=14))
    return buffers(*[(lower, lower + length, size) for lower, length, size in rows])


def size_of(given_buffers: list[Buffer]) -> int:
    """Lay out, check it by its definition alone, and return the size."""
    offsets, size = lay_out(given_buffers)
    assert offsets.keys() == {buffer.id for buffer in given_buffers}
    for step in range(-5, 40):
        live = [b for b in given_buffers if b.lifespan.lower <= step < b.lifespan.upper and b.size]
        places = sorted((offsets[b.id], offsets[b.id] + b.size) for b in live)
        ends = [0, *(end for _, end in places)]
        assert all(start >= end for (start, _), end in zip(places, ends, strict=False))
        assert ends[-1] <= size
    return size


@settings(max_examples=60)
@given(problems())
def test_any_layout_is_valid_and_not_below_the_bound(given_buffers: list[Buffer]) -> None:
    assert size_of(given_buffers) >= lower_bound(given_buffers)


@given(problems())
def test_the_lower_bound_is_the_peak_of_the_live_bytes(given_buffers: list[Buffer]) -> None:
    steps = range(-5, 25)
    alive = [sum(b.size for b in given_buffers if b.lifespan.lower <= step < b.lifespan.upper) for step in steps]
    assert lower_bound(given_buffers) == max(alive)


@settings(max_examples=25)
@given(problems(), st.randoms(use_true_random=False))
def test_neither_a_second_call_nor_the_order_of_the_buffers_changes_anything(
    given_buffers: list[Buffer], rng: random.Random
) -> None:
    first = lay_out(given_buffers)
    rng.shuffle(given_buffers)
    assert lay_out(given_buffers) == first


def test_nothing_to_lay_out_takes_no_memory() -> None:
    assert lay_out([]) == ({}, 0)
    assert lay_out(buffers((0, 3, 0), (1, 2, 0))) == ({"b0": 0, "b1": 0}, 0)


def test_buffers_of_one_lifespan_are_stacked() -> None:
    assert size_of(buffers(*[(2, 5, 10)] * 20)) == 200


def test_lifespans_that_only_touch_share_their_memory() -> None:
    assert size_of(buffers((0, 5, 9), (5, 7, 9), (7, 8, 9))) == 9


def test_sizes_beyond_64_bits_together_are_laid_out_exactly() -> None:
    huge = 2**63 - 1
    assert size_of(buffers((0, 4, huge), (2, 6, huge - 1), (5, 9, huge - 5), (1, 3, 17))) >= 2 * huge - 1 + 17


def test_a_lifespan_is_never_empty() -> None:
    with pytest.raises(ValueError, match="lower < upper"):
        Lifespan(3, 3)


def test_what_no_order_fits_is_mended_by_laying_out_earlier_what_reaches_highest() -> None:
    # A plan of ResNet-18, FP32, in pages. The best of the orders alone takes 1.06 times the bound.
    rows = [
        (0, 2, 147),
        (1, 3, 98),
        (2, 4, 98),
        (3, 5, 49),
        (3, 5, 49),
        (4, 7, 49),
        (5, 7, 49),
        (6, 9, 49),
        (7, 9, 25),
        (8, 10, 25),
        (8, 10, 25),
        (9, 12, 25),
        (9, 11, 25),
        (10, 12, 25),
        (0, 13, 1),
        (2, 5, 577),
        (6, 12, 501),
    ]
    given_buffers = buffers(*rows)
    assert size_of(given_buffers) <= 1.02 * lower_bound(given_buffers)


@pytest.mark.parametrize("seed", range(4, 12))
def test_the_arena_of_every_plan_is_within_two_percent_of_its_bound(seed: int) -> None:
    manifest, measurements = make_chain(seed, 20)
    outputs = frozenset(spec.name for spec in manifest.outputs)
    task = Task(measurements, SPEEDS, Limit(None, 0, 4), 4, frozenset(["image"]), outputs)
    for option in block_options(task)[::3]:
        plan = option.plan
        least = plan.arena_bytes - (plan.peak_bytes - option.least)
        assert plan.arena_bytes <= 1.02 * least
        assert plan.arena_bytes % ALIGNMENT == 0


def test_places_begin_at_pages_of_this_system_which_may_be_laid_under_sessions() -> None:
    assert ALIGNMENT % mmap.PAGESIZE == 0
