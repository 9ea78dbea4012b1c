"""The report for people: for each batch size a table of times and one of memory, with ratios against plain onnxruntime.

Made for a terminal of 100 columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.files.sizes import format_size
from edge_tools.bench.cases import About, Host, MeasuredCase, Report, Row
from edge_tools.bench.compare import Ratios, over_base, plain_row, ratios
from edge_tools.bench.words import MARK, climate_words, marked, printable, short

__all__ = ["as_table"]

_WIDTH = 100
_BUSY = 0.5  # processes
_NAME = 26  # letters of a model's name
_LEFT = 3  # columns of words; the others are numbers
_NAMES = ("engine", "model", "limit")


@dataclass(frozen=True)
class _Line:
    """One row of a table in the making."""

    measured: MeasuredCase
    against: Ratios

    @property
    def row(self) -> Row:
        return self.measured.row


_Column = tuple[str, Callable[[_Line], str]]


def as_table(title: str, report: Report, rows: Sequence[MeasuredCase]) -> str:
    """Return the tables of a report, the machine above them and what the columns mean below."""
    lines = [title, _host(report.host)]
    if report.emulated:
        lines.insert(1, f"as {report.emulated.name}, {report.emulated.memory} ({MARK}): {report.label}")
    lines.append(f"page cache: {report.host.page_cache}")
    if report.about:
        lines += _about(report.about)
    if report.emulated:
        lines += [*report.emulated.sources, *report.emulated.notes]
    lines = [part for line in lines for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ")]
    models = dict.fromkeys(measured.row.model for measured in rows)
    for batch in dict.fromkeys(measured.row.batch for measured in rows):
        group = [measured for measured in rows if measured.row.batch == batch]
        plain = plain_row([measured.row for measured in group], batch)
        made = [_Line(measured, ratios(measured.row, plain)) for measured in group]
        words = f"batch {batch}{marked(report.label)}"
        lines += ["", f"{words}: time", *_table(made, _times(made, plain is not None), len(models) > 1)]
        if done := [line for line in made if line.row.status == "ok"]:
            lines += ["", f"{words}: memory", *_table(done, _memory(done, plain is not None), len(models) > 1)]
    legend = [part for line in _legend(report, rows) for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ")]
    return "\n".join(printable(line) for line in [*lines, "", *legend]) + "\n"


def _times(lines: Sequence[_Line], plain: bool) -> list[_Column]:
    columns: list[_Column] = [("p50/p95/p99 ms", lambda line: _latency(line.row))]
    if plain:
        columns.append(("ratio", lambda line: _ratio(line.against.latency)))
    columns.append(("images/s", lambda line: short(line.row.images_per_s)))
    if any(line.row.sustained for line in lines):
        columns.append(("first>steady", lambda line: _sustained(line.row)))
    if any(line.row.watts is not None for line in lines):
        columns.append(("W", lambda line: short(line.row.watts)))
        columns.append(("J/image", lambda line: short(line.row.joules_per_image)))
    columns.append(("cold ms", lambda line: short(line.row.cold_start_ms)))
    if plain:
        columns.append(("ratio", lambda line: _ratio(line.against.cold)))
    return columns


def _memory(lines: Sequence[_Line], plain: bool) -> list[_Column]:
    columns: list[_Column] = [
        ("peak", lambda line: format_size(line.row.peak_bytes or 0)),
        ("over base", lambda line: format_size(over_base(line.row) or 0)),
    ]
    if plain:
        columns.append(("ratio", lambda line: _ratio(line.against.memory)))
    if any(line.measured.charges for line in lines):
        columns.append(("charged", lambda line: _charged(line.measured)))
    return [
        *columns,
        ("blocks", lambda line: _blocks(line.row)),
        ("max diff", lambda line: f"{line.row.max_abs_diff:.2g}"),
    ]


def _table(lines: Sequence[_Line], columns: Sequence[_Column], named: bool) -> list[str]:
    table = [[*_NAMES, *(head for head, _ in columns)]]
    for line in lines:
        row = line.row
        limit = "none" if row.memory_limit_bytes is None else format_size(row.memory_limit_bytes)
        model = f"{_middle_cut(row.model)} {row.precision}" if named else row.precision
        names = [row.engine, model.strip(), limit]
        if row.status == "ok":
            table.append([*names, *(cell(line) for _, cell in columns)])
        else:
            told = row.message.startswith(row.status)
            table.append([*names, row.message if told else f"{row.status}: {row.message}"])
    if not any(row[1] for row in table[1:]):  # nothing to tell models apart by
        table[0][1] = ""
    return _aligned(table, len(table[0]))


def _aligned(table: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Pad the cells of full rows to columns; a shorter row ends in a sentence, which may be as long as it likes."""
    full = [row for row in table if len(row) == columns]
    widths = [max(len(row[i]) for row in (table if i < _LEFT else full)) for i in range(columns)]
    lines = []
    for row in table:
        padded = [cell.ljust(width) if i < _LEFT else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths, strict=False))]  # fmt: skip
        if len(row) != columns:
            padded[-1] = row[-1]
        lines.append("  ".join(cell for cell, width in zip(padded, widths, strict=False) if width).rstrip())
    return lines


def _host(host: Host) -> str:
    return (
        f"{host.cpu}, {host.cores} cores, {format_size(host.memory_bytes)}, Linux {host.kernel}, "
        f"Python {host.python}, onnxruntime {host.onnxruntime}"
    )


def _about(about: About) -> list[str]:
    lines = [f"this machine: {about.board_name} ({about.board}; {about.how}), {about.date_utc}"]
    before, after = climate_words(about.before), climate_words(about.after)
    if before or after:
        lines.append(f"before: {before or '-'}; after: {after or '-'}")
    if about.load is not None and about.load > _BUSY:
        lines.append(f"busy: {about.load:.1f} other processes wanted a core in the minute before; times are too long")
    if about.power:
        idle = "" if about.idle_watts is None else f"; idle {short(about.idle_watts)} W"
        lines.append(f"power: {about.power}{idle}")
    return lines


def _legend(report: Report, rows: Sequence[MeasuredCase]) -> list[str]:
    done = [measured.row for measured in rows if measured.row.status == "ok"]
    lines = ["blocks: resident/streamed/reloaded. over base: peak less interpreter and libraries."]
    plain = next((row for batch in {row.batch for row in done} if (row := plain_row(done, batch))), None)
    if plain is not None:
        lines.append(
            f"ratio: against plain onnxruntime on {plain.model} of the same batch, with the largest limit that it "
            "survived (memory: over base)."
        )
    if any(measured.charges for measured in rows):
        lines.append("charged: the most its control group held, page cache included.")
    ran = next((row.sustained for row in done if row.sustained), None)
    if ran is not None:
        lines.append(
            f"first>steady: images/s in the first {ran.window_s:g} s, and in the second half of {ran.seconds:.0f} s "
            "without a pause."
        )
    if any(row.watts is not None for row in done) and report.about:
        lines.append(f"W, J/image: over the same run, {report.about.power}.")
    return lines


def _latency(row: Row) -> str:
    return "/".join(short(value) for value in (row.latency_ms.p50, row.latency_ms.p95, row.latency_ms.p99))


def _sustained(row: Row) -> str:
    return f"{short(row.sustained.first)}>{short(row.sustained.steady)}" if row.sustained else "-"


def _charged(measured: MeasuredCase) -> str:
    return "" if measured.charges is None else format_size(measured.charges.most_bytes)


def _blocks(row: Row) -> str:
    blocks = row.blocks
    return "-" if row.engine == "onnxruntime" else f"{blocks.resident}/{blocks.streamed}/{blocks.reloaded}"


def _middle_cut(name: str) -> str:
    """Return a name of bearable length, with its beginning and its end."""
    return name if len(name) <= _NAME else f"{name[: _NAME // 2]}..{name[2 - _NAME // 2 :]}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}x"
