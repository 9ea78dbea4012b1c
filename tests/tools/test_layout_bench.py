"""The layout bench: its table, its JSON, its files, and the problems it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_runtime.errors import DataError, UsageError
from edge_runtime.plan.layout import lower_bound, read_problem, read_solution, validate, write_problem
from edge_tools.layout_bench import as_table, layout_bench, measure
from edge_tools.layout_problems import BUILT_IN, perfect


def test_the_table_has_a_row_for_each_problem_and_the_worst_ratio() -> None:
    rows = [measure(name, perfect(seed, 20))[0] for name, seed in (("one", 1), ("two", 2))]
    lines = as_table(rows).splitlines()
    assert lines[0].split()[0] == "problem"
    assert [line.split()[0] for line in lines[1:3]] == ["one", "two"]
    assert lines[3].startswith("2 of 2 within 1.02")


def test_json_and_solved_files_say_the_same(tmp_path: Path) -> None:
    write_problem(tmp_path / "p.csv", perfect(3, 24))
    done = CliRunner().invoke(
        layout_bench, [str(tmp_path / "p.csv"), "--json", "-o", str(tmp_path / "out")], catch_exceptions=False
    )
    (row,) = json.loads(done.output)["rows"]
    solution = read_solution(tmp_path / "out" / "p.csv")
    validate(read_problem(tmp_path / "p.csv"), solution)
    assert row["size"] == solution.size == row["lower_bound"] == 1 << 20
    assert (row["problem"], row["buffers"], row["ratio"]) == ("p", 24, 1.0)


@pytest.mark.parametrize("count", [1, 7, 60, 200])
def test_a_perfect_problem_fills_its_rectangle(count: int) -> None:
    problem = perfect(5, count)
    lives = [buffer.lifespan for buffer in problem.buffers]
    area = sum((life.upper - life.lower) * b.size for life, b in zip(lives, problem.buffers, strict=True))
    assert count <= len(lives) <= count + 3
    assert lower_bound(problem) == 1 << 20
    assert area == 4096 << 20


def test_the_built_in_problems_are_the_same_every_time() -> None:
    assert len(BUILT_IN) >= 12
    for make in BUILT_IN.values():
        assert make() == make()


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for folder in (tmp_path, tmp_path / "a"):
        write_problem(folder / "p.csv", perfect(1, 4))
    with pytest.raises(UsageError, match="distinct names"):
        CliRunner().invoke(
            layout_bench, [str(tmp_path / "p.csv"), str(tmp_path / "a" / "p.csv")], catch_exceptions=False
        )
    with pytest.raises(DataError, match="cannot read"):
        CliRunner().invoke(layout_bench, [str(tmp_path / "none.csv")], catch_exceptions=False)
