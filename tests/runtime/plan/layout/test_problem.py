"""The vocabulary, and problems as CSV: what is read is what was written, what cannot be used is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import DataError
from edge_runtime.plan.layout import (
    Buffer,
    Lifespan,
    Problem,
    Solution,
    lower_bound,
    read_problem,
    read_solution,
    write_problem,
    write_solution,
)

BUFFERS = st.builds(
    lambda lower, length, size: (Lifespan(lower, lower + length), size),
    st.integers(-20, 20),
    st.integers(1, 9),
    st.integers(0, 50),
)


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "problem.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@given(st.lists(BUFFERS, max_size=12), st.sampled_from([1, 8]))
def test_the_lower_bound_is_the_peak_of_the_live_bytes(rows: list[tuple[Lifespan, int]], alignment: int) -> None:
    problem = Problem(tuple(Buffer(str(i), life, size) for i, (life, size) in enumerate(rows)))
    peak = 0
    for step in range(-20, 30):
        live = [size for life, size in rows if life.lower <= step < life.upper and size]
        pads = [-size % alignment for size in live]
        peak = max(peak, sum(live) + sum(pads) - max(pads, default=0))
    assert lower_bound(problem, alignment) == peak


def test_a_problem_and_its_solution_come_back_as_written(tmp_path: Path) -> None:
    problem = Problem((Buffer('odd, "name"', Lifespan(-3, 2), 2**62), Buffer("b", Lifespan(2, 3), 0)))
    write_problem(tmp_path / "p.csv", problem)
    assert read_problem(tmp_path / "p.csv") == problem
    write_solution(tmp_path / "s.csv", problem, Solution({'odd, "name"': 64, "b": 0}, 64 + 2**62))
    assert (tmp_path / "s.csv").read_text().startswith("id,lower,upper,size,offset\n")
    assert read_solution(tmp_path / "s.csv") == Solution({'odd, "name"': 64, "b": 0}, 64 + 2**62)
    assert read_problem(tmp_path / "s.csv") == problem


def test_columns_are_found_by_name_and_advice_is_left_aside(tmp_path: Path) -> None:
    path = file(tmp_path, "\ufeffsize, upper,hint,lower,id,alignment,gaps\r\n7,5,40,2,x,1,\r\n\r\n")
    assert read_problem(path) == Problem((Buffer("x", Lifespan(2, 5), 7),))


def test_a_file_with_only_a_header_is_an_empty_problem(tmp_path: Path) -> None:
    assert read_problem(file(tmp_path, "id,lower,upper,size\n")) == Problem(())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "empty file"),
        ("id,lower,size\na,0,1\n", "no 'upper'"),
        ("id,lower,upper,size,size\na,0,1,1,1\n", "each column once"),
        ("id,lower,upper,size\na,0,1,big\n", "for size, found 'big'"),
        ("id,lower,upper,size\na,0,1.5,1\n", "for upper, found '1.5'"),
        ("id,lower,upper,size\na,0,1,1_0\n", "for size, found '1_0'"),
        ("id,lower,upper,size\na,0,1,9223372036854775808\n", "64 bits"),
        ("id,lower,upper,size\na,0,1,\n", "for size, found ''"),
        ("id,lower,upper,size\na,3,3,1\n", "lower < upper"),
        ("id,lower,upper,size\na,0,1,-1\n", "size of 0 or more"),
        ("id,lower,upper,size\na,0,1,1\na,0,1,1\n", "line 3: the id 'a' was there before"),
        ("id,lower,upper,size\n,0,1,1\n", "expected an id"),
        ("id,lower,upper,size\na,0,1\n", "expected 4 cells, found 3"),
        ("id,lower,upper,size,gaps\na,0,9,1,3-5\n", "gaps"),
        ("id,lower,upper,size,alignment\na,0,9,1,64\n", "alignment"),
        ('id,lower,upper,size\n"a,0,9,1\n', "no CSV"),
        (b"id,lower,upper,size\n\xff\xfe,0,9,1\n", "UTF-8"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path: Path, text: str | bytes, found: str) -> None:
    with pytest.raises(DataError) as caught:
        read_problem(file(tmp_path, text))
    assert found in str(caught.value)
    assert "problem.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_offset_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_problem(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no 'offset'"):
        read_solution(file(tmp_path, "id,lower,upper,size\na,0,1,1\n"))


def test_a_lifespan_is_never_empty_and_ids_are_distinct() -> None:
    with pytest.raises(ValueError, match="lower < upper"):
        Lifespan(3, 3)
    with pytest.raises(ValueError, match="0 or more"):
        Buffer("a", Lifespan(0, 1), -1)
    with pytest.raises(ValueError, match="'a' twice"):
        Problem((Buffer("a", Lifespan(0, 1), 1), Buffer("a", Lifespan(0, 1), 1)))
