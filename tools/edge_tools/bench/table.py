"""The report for people: one table for each batch size, with ratios against plain onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.sizes import format_size
from edge_tools.bench.cases import Host, Measured, Row

__all__ = ["as_table"]

_HEAD = ("engine", "limit", "p50/p95/p99 ms", "images/s", "cold ms", "peak", "over base", "blocks", "max diff")
_RATIOS = ("latency", "memory", "cold")
_CHARGED = ("charged",)
_LEFT = 2  # columns of words; the others are numbers


def as_table(title: str, host: Host, rows: Sequence[Measured]) -> str:
    """Return the tables of a report, the host above them and what the columns mean below."""
    lines = [
        title,
        f"{host.cpu}, {host.cores} cores, {format_size(host.memory_bytes)}, Linux {host.kernel}, "
        f"Python {host.python}, onnxruntime {host.onnxruntime}",
        f"page cache: {host.page_cache}",
    ]
    for batch in dict.fromkeys(measured.row.batch for measured in rows):
        lines += ["", f"batch {batch}", *_batch_table([measured for measured in rows if measured.row.batch == batch])]
    lines += ["", "blocks: resident/streamed/reloaded. over base: peak less interpreter and libraries."]
    if any(_plain([measured]) for measured in rows):
        lines.append("latency, memory (over base), cold: against plain onnxruntime of the same batch.")
    if any(measured.charges for measured in rows):
        lines.append("charged: the most its control group held, page cache included.")
    return "\n".join(lines) + "\n"


def _batch_table(rows: Sequence[Measured]) -> list[str]:
    plain = _plain(rows)
    charged = any(measured.charges for measured in rows)
    head = [*_HEAD, *_RATIOS * (plain is not None), *_CHARGED * charged]
    table: list[list[str]] = [head]
    for measured in rows:
        row = measured.row
        names = [row.engine, "none" if row.memory_limit_bytes is None else format_size(row.memory_limit_bytes)]
        if row.status != "ok":
            said = row.message.startswith(row.status)
            table.append([*names, row.message if said else f"{row.status}: {row.message}"])
            continue
        cells = [*names, *_figures(row)]
        if plain is not None:
            cells += ["" if row is plain else text for text in _ratios(row, plain)]
        if charged:
            charges = measured.charges
            cells.append("" if charges is None else format_size(charges.most_bytes))
        table.append(cells)
    return _aligned(table, len(head))


def _figures(row: Row) -> list[str]:
    latency, blocks = row.latency_ms, row.blocks
    over = (row.peak_bytes or 0) - (row.base_bytes or 0)
    return [
        "/".join(_short(value) for value in (latency.p50, latency.p95, latency.p99)),
        _short(row.images_per_s),
        _short(row.cold_start_ms),
        format_size(row.peak_bytes or 0),
        format_size(over),
        "-" if row.engine == "onnxruntime" else f"{blocks.resident}/{blocks.streamed}/{blocks.reloaded}",
        f"{row.max_abs_diff:.2g}",
    ]


def _plain(rows: Sequence[Measured]) -> Row | None:
    """Return the row that the others are compared with: plain onnxruntime with the largest limit it survived."""
    found = [measured.row for measured in rows if measured.row.engine == "onnxruntime" and measured.row.status == "ok"]
    return max(found, key=lambda row: float("inf") if row.memory_limit_bytes is None else row.memory_limit_bytes,
               default=None)  # fmt: skip


def _ratios(row: Row, plain: Row) -> list[str]:
    pairs = (
        (row.latency_ms.p50, plain.latency_ms.p50),
        ((row.peak_bytes or 0) - (row.base_bytes or 0), (plain.peak_bytes or 0) - (plain.base_bytes or 0)),
        (row.cold_start_ms, plain.cold_start_ms),
    )
    return [f"{one / other:.2f}x" if one and other else "-" for one, other in pairs]


def _short(value: float | None) -> str:
    """Three digits that count: 0.123, 1.23, 12.3, 1235."""
    if value is None:
        return "-"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}" if value >= 1 else f"{value:.3f}"


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
        lines.append("  ".join(padded).rstrip())
    return lines
