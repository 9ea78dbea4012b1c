"""Layouts: always valid, never below the bound, near it on packed rectangles, at the optimum on tiny problems."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.plan.layout import Buffer, Lifespan, Problem, lower_bound, read_problem, solve, validate

PROBLEMS = sorted((Path(__file__).parent / "problems").glob("*.csv"))


def problem(*rows: tuple[int, int, int]) -> Problem:
    return Problem(tuple(Buffer(f"b{i}", Lifespan(lower, upper), size) for i, (lower, upper, size) in enumerate(rows)))


@st.composite
def problems(draw: st.DrawFn, most: int = 14, largest: int = 40) -> Problem:
    rows = draw(
        st.lists(st.tuples(st.integers(-5, 12), st.integers(1, 8), st.integers(0, largest)), min_size=0, max_size=most)
    )
    return problem(*[(lower, lower + length, size) for lower, length, size in rows])


def optimum(given_problem: Problem) -> int:
    """Drop the buffers on top of each other in every order: the best of these is the best there is."""
    best = sum(buffer.size for buffer in given_problem.buffers)
    for order in itertools.permutations(given_problem.buffers):
        tops: list[tuple[Lifespan, int]] = []
        for buffer in order:
            floor = max((top for life, top in tops if life.overlaps(buffer.lifespan)), default=0)
            tops.append((buffer.lifespan, floor + buffer.size))
        best = min(best, max((top for _, top in tops), default=0))
    return best


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.stem)
def test_a_committed_problem_is_laid_out_within_two_percent_of_the_lower_bound(path: Path) -> None:
    given_problem = read_problem(path)
    solution = solve(given_problem, good_enough=1.02)
    validate(given_problem, solution)
    assert solution.size <= 1.02 * lower_bound(given_problem)


def test_the_committed_problems_are_all_there_and_small() -> None:
    assert len(PROBLEMS) == 13
    assert all(path.stat().st_size < 20_000 for path in PROBLEMS)


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from([1, 4, 64]))
def test_any_layout_is_valid_and_not_below_the_bound(given_problem: Problem, alignment: int) -> None:
    solution = solve(given_problem, alignment=alignment, budget=3_000_000)
    validate(given_problem, solution, alignment)
    assert solution.size >= lower_bound(given_problem, alignment) >= lower_bound(given_problem)


@settings(max_examples=40, deadline=None)
@given(problems(most=5, largest=12))
def test_a_tiny_problem_gets_its_optimum(given_problem: Problem) -> None:
    assert solve(given_problem).size == optimum(given_problem)


@settings(max_examples=25, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_neither_a_second_call_nor_the_order_of_the_buffers_changes_anything(
    given_problem: Problem, rng: random.Random
) -> None:
    buffers = list(given_problem.buffers)
    rng.shuffle(buffers)
    first = solve(given_problem, budget=2_000_000)
    assert solve(given_problem, budget=2_000_000) == first
    assert solve(Problem(tuple(buffers)), budget=2_000_000) == first


def test_an_optimum_above_the_bound_is_recognized_and_ends_the_search() -> None:
    # Live bytes are 6 at every step, so 6 would mean a layout without a hole. The budget would last for days.
    rows = [(0, 1, 4), (0, 2, 2), (1, 3, 4), (3, 4, 1), (2, 4, 1), (2, 5, 1), (5, 6, 1), (3, 6, 3), (6, 7, 2)]
    rows += [(6, 7, 2), (4, 8, 2), (7, 8, 2), (7, 8, 1), (7, 8, 1)]
    given_problem = problem(*rows)
    solution = solve(given_problem, budget=10**15)
    validate(given_problem, solution)
    assert (lower_bound(given_problem), solution.size) == (6, 7)


def test_nothing_to_lay_out_takes_no_memory() -> None:
    assert solve(Problem(())).size == 0
    empty = solve(problem((0, 3, 0), (1, 2, 0)))
    assert (empty.size, dict(empty.offsets)) == (0, {"b0": 0, "b1": 0})


def test_one_buffer_starts_at_zero_beside_an_empty_one() -> None:
    given_problem = problem((4, 9, 7), (5, 6, 0))
    solution = solve(given_problem)
    validate(given_problem, solution)
    assert (solution.offsets["b0"], solution.size) == (0, 7)


def test_buffers_of_one_lifespan_are_stacked() -> None:
    given_problem = problem(*[(2, 5, 10)] * 20)
    assert solve(given_problem).size == 200


def test_lifespans_that_only_touch_share_their_memory() -> None:
    assert solve(problem((0, 5, 9), (5, 7, 9), (7, 8, 9))).size == 9


def test_sizes_beyond_64_bits_together_are_laid_out_exactly() -> None:
    huge = 2**63 - 1
    given_problem = problem((0, 4, huge), (2, 6, huge - 1), (5, 9, huge - 5), (1, 3, 17))
    solution = solve(given_problem)
    validate(given_problem, solution)
    assert solution.size >= lower_bound(given_problem) == 2 * huge - 1 + 17


def test_offsets_keep_to_the_alignment_and_the_last_buffer_is_not_padded() -> None:
    given_problem = problem((0, 2, 100), (0, 2, 1), (1, 3, 65))
    solution = solve(given_problem, alignment=64)
    validate(given_problem, solution, 64)
    assert solution.size == lower_bound(given_problem, 64) == 128 + 128 + 1


def test_without_a_budget_the_greedy_layout_is_returned() -> None:
    given_problem = read_problem(next(path for path in PROBLEMS if path.stem == "perfect-80"))
    quick = solve(given_problem, budget=0)
    validate(given_problem, quick)
    assert quick.size > 1.1 * lower_bound(given_problem)


@pytest.mark.parametrize("options", [{"alignment": 0}, {"good_enough": 0.9}, {"good_enough": float("nan")}])
def test_senseless_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected alignment and good_enough"):
        solve(problem((0, 1, 1)), **options)  # type: ignore[arg-type]
