"""`python -m edge_tools.layout_bench [PROBLEM.csv ...]`: how near the arena's layout comes to the lower bound.

Without files it solves a built-in set: rectangles cut so that a perfect layout exists, random lifespans with
heavy-tailed sizes, and the buffers of four kinds of networks. Every layout is checked by the independent validator.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from edge_runtime.cli.console import run_command
from edge_runtime.errors import UsageError
from edge_runtime.files.atomic import writing
from edge_runtime.plan.layout import (
    DEFAULT_BUDGET,
    Problem,
    Solution,
    lower_bound,
    read_problem,
    solve,
    validate,
    write_solution,
)
from edge_tools.layout_problems import BUILT_IN

__all__ = ["Row", "as_table", "measure"]


@dataclass(frozen=True)
class Row:
    """One problem; sizes in bytes. `ratio` is size over lower bound, 1 where there is nothing to lay out."""

    problem: str
    buffers: int
    lower_bound: int
    size: int
    ratio: float
    seconds: float


def measure(
    name: str, problem: Problem, alignment: int = 1, good_enough: float = 1.0, budget: int = DEFAULT_BUDGET
) -> tuple[Row, Solution]:
    """Solve and validate one problem. Raises LayoutError if the solver's layout is wrong."""
    started = time.perf_counter()
    solution = solve(problem, alignment=alignment, good_enough=good_enough, budget=budget)
    seconds = time.perf_counter() - started
    validate(problem, solution, alignment)
    bound = lower_bound(problem, alignment)
    ratio = solution.size / bound if bound else 1.0
    return Row(name, len(problem.buffers), bound, solution.size, ratio, seconds), solution


def as_table(rows: Sequence[Row]) -> str:
    """Return aligned columns, and below them the worst ratio."""
    head = ("problem", "buffers", "lower bound", "size", "ratio", "seconds")
    cells = [
        (r.problem, str(r.buffers), f"{r.lower_bound:,}", f"{r.size:,}", f"{r.ratio:.4f}", f"{r.seconds:.2f}")
        for r in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in [head, *cells]
    ]
    worst = max(rows, key=lambda row: row.ratio)
    within = sum(row.ratio <= 1.02 for row in rows)
    lines.append(f"{within} of {len(rows)} within 1.02 of the bound; worst: {worst.problem}, {worst.ratio:.4f}")
    return "\n".join(lines)


@click.command()
@click.argument("problems", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the solved problems, as CSV.")
@click.option("--alignment", type=click.IntRange(min=1), default=1, show_default=True, help="Of every offset, bytes.")
@click.option("--good-enough", type=click.FloatRange(min=1), default=1.0, show_default=True, help="Ratio to stop at.")
@click.option("--budget", type=click.IntRange(min=0), default=DEFAULT_BUDGET, show_default=True, help="Search effort.")
def layout_bench(
    problems: tuple[Path, ...], as_json: bool, output: Path | None, alignment: int, good_enough: float, budget: int
) -> None:
    """Lay out each PROBLEM.csv (id,lower,upper,size), or a built-in set, and compare with the lower bound."""
    named = {path.stem: read_problem(path) for path in problems} or {name: make() for name, make in BUILT_IN.items()}
    if problems and len(named) < len(problems):
        raise UsageError("expected problem files with distinct names, found two of the same; rename one")
    if output is not None:
        with writing(output):
            output.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, problem in named.items():
        row, solution = measure(name, problem, alignment, good_enough, budget)
        rows.append(row)
        if output is not None:
            write_solution(output / f"{name}.csv", problem, solution)
    click.echo(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) if as_json else as_table(rows))


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(layout_bench, "layout_bench")


if __name__ == "__main__":
    main()
