"""The validator names each way in which a layout can be wrong."""

from __future__ import annotations

import pytest

from edge_runtime.errors import EngineError
from edge_runtime.plan.layout import Buffer, LayoutError, Lifespan, Problem, Solution, validate

PROBLEM = Problem((Buffer("a", Lifespan(0, 4), 64), Buffer("b", Lifespan(2, 6), 32), Buffer("c", Lifespan(4, 8), 64)))
GOOD = {"a": 0, "b": 64, "c": 0}


def test_a_right_layout_passes() -> None:
    validate(PROBLEM, Solution(GOOD, 96), alignment=64)


@pytest.mark.parametrize(
    ("offsets", "size", "flaw", "named"),
    [
        ({"a": 0, "b": 64}, 96, "missing buffer", "'c'"),
        ({**GOOD, "d": 0}, 96, "unknown buffer", "'d'"),
        ({**GOOD, "c": -64}, 96, "negative offset", "-64"),
        ({**GOOD, "b": 65}, 200, "misaligned offset", "65"),
        (GOOD, 95, "beyond the size", "'b' ends at 96"),
        ({**GOOD, "b": 0}, 96, "overlap", "'a' and 'b'"),
        ({**GOOD, "c": 64}, 128, "overlap", "'b' and 'c'"),
    ],
)
def test_each_flaw_has_its_name_and_one_line(offsets: dict[str, int], size: int, flaw: str, named: str) -> None:
    with pytest.raises(LayoutError) as caught:
        validate(PROBLEM, Solution(offsets, size), alignment=64)
    assert caught.value.flaw == flaw
    assert str(caught.value).startswith(f"{flaw}: ")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, EngineError)


def test_an_empty_buffer_overlaps_nothing() -> None:
    problem = Problem((Buffer("a", Lifespan(0, 4), 64), Buffer("empty", Lifespan(0, 4), 0)))
    validate(problem, Solution({"a": 0, "empty": 32}, 64))


def test_a_large_buffer_that_swallows_a_small_one_is_an_overlap() -> None:
    problem = Problem((Buffer("small", Lifespan(0, 9), 8), Buffer("large", Lifespan(3, 4), 100)))
    with pytest.raises(LayoutError, match="overlap"):
        validate(problem, Solution({"small": 40, "large": 0}, 100))
