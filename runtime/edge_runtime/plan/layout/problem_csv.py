"""Problems and solutions as minimalloc writes them: CSV, `id,lower,upper,size` and for a solution `offset`.

Columns are found by their name, in any order. `gaps` would change what the problem means, and an `alignment`
above 1 is the solver's parameter, not a column: both are refused rather than dropped. A `hint` is only advice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_runtime.errors import DataError
from edge_runtime.files.atomic import write_text
from edge_runtime.plan.layout.problem import Buffer, Lifespan, Problem, Solution

__all__ = ["read_problem", "read_solution", "write_problem", "write_solution"]

_COLUMNS = ("id", "lower", "upper", "size")
_LARGEST = 2**63 - 1


def read_problem(path: Path) -> Problem:
    """Read a problem; an `offset` column, if there is one, is left aside. Raises DataError with the file and line."""
    buffers: dict[str, Buffer] = {}
    for where, row in _rows(path, _COLUMNS):
        name = row["id"].strip()
        if not name:
            raise DataError(f"{where}: expected an id, found none; give each buffer a name of its own")
        if name in buffers:
            raise DataError(f"{where}: the id {name!r} was there before; give each buffer a name of its own")
        if row.get("gaps", "").strip():
            raise DataError(f"{where}: found gaps in the lifespan, which are not supported; split the buffer in two")
        if row.get("alignment", "").strip() not in ("", "1"):
            raise DataError(
                f"{where}: expected alignment 1, found {row['alignment']!r}; give --alignment for all instead"
            )
        lower, upper, size = (_number(where, row, column) for column in ("lower", "upper", "size"))
        try:
            buffers[name] = Buffer(name, Lifespan(lower, upper), size)
        except ValueError as error:
            raise DataError(f"{where}: {error}; correct the line") from error
    return Problem(tuple(buffers.values()))


def read_solution(path: Path) -> Solution:
    """Read the offsets of a solved problem; the arena's size is where the last buffer ends. Raises DataError."""
    offsets, end = {}, 0
    for where, row in _rows(path, (*_COLUMNS, "offset")):
        offset = _number(where, row, "offset")
        offsets[row["id"].strip()] = offset
        end = max(end, offset + _number(where, row, "size"))
    return Solution(offsets, end)


def write_problem(path: Path, problem: Problem) -> None:
    """Write a problem atomically. Raises OutputError."""
    _write(path, _COLUMNS, [_cells(buffer) for buffer in problem.buffers])


def write_solution(path: Path, problem: Problem, solution: Solution) -> None:
    """Write a problem with its offsets atomically. Raises OutputError."""
    rows = [(*_cells(buffer), solution.offsets[buffer.id]) for buffer in problem.buffers]
    _write(path, (*_COLUMNS, "offset"), rows)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each line's place, for messages, and its cells by column."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8, found other bytes; export it again as text") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give the path of a CSV file") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        if not any(header):
            raise DataError(f"{path}: expected the header {','.join(columns)}, found an empty file; write one")
        if missing := [column for column in columns if column not in header]:
            raise DataError(f"{path}: expected the columns {','.join(columns)}, found no {missing[0]!r}; add it")
        if len(set(header)) < len(header):
            raise DataError(f"{path}: expected each column once, found {','.join(header)}; remove one of the same name")
        for cells in lines:
            where = f"{path}, line {lines.line_num}"
            if not any(cell.strip() for cell in cells):
                continue  # an empty last line
            if len(cells) != len(header):
                raise DataError(f"{where}: expected {len(header)} cells, found {len(cells)}; correct the line")
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {lines.line_num}: no CSV ({error}); correct the line") from error


def _number(where: str, row: dict[str, str], column: str) -> int:
    text = row[column].strip()
    # int() would also take "1_000" and digits of other scripts; 20 characters hold any 64-bit number.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(text) <= 20 and -_LARGEST <= int(text) <= _LARGEST):
        raise DataError(f"{where}: expected a whole number of 64 bits for {column}, found {text[:40]!r}; correct it")
    return int(text)


def _cells(buffer: Buffer) -> tuple[str, int, int, int]:
    return buffer.id, buffer.lifespan.lower, buffer.lifespan.upper, buffer.size


def _write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str | int, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
