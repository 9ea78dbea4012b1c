"""The rows as CSV, one line each, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from edge_tools.bench.cases import MeasuredCase, Report, Row
from edge_tools.bench.compare import over_base, plain_row, ratios
from edge_tools.bench.words import printable

__all__ = ["as_csv"]

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(report: Report, rows: Sequence[MeasuredCase]) -> str:
    """Return a heading and one line for each row; what was not measured is empty. The label is a column."""
    stream = io.StringIO()
    table = [_cells(report, measured, [each.row for each in rows]) for measured in rows]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table[0] if table else ["label"])
    writer.writerows([_plain(value) for value in cells.values()] for cells in table)
    return stream.getvalue()


def _cells(report: Report, measured: MeasuredCase, rows: Sequence[Row]) -> dict[str, object]:
    row = measured.row
    against = ratios(row, plain_row(rows, row.batch))
    ran, blocks, about = row.sustained, row.blocks, report.about
    return {
        "label": row.label,
        "board": report.emulated.board if report.emulated else about.board if about else "",
        "date_utc": about.date_utc if about else "",
        "engine": row.engine,
        "model": row.model,
        "precision": row.precision,
        "memory_limit_bytes": row.memory_limit_bytes,
        "batch": row.batch,
        "status": row.status,
        "message": row.message,
        "confined": row.confined,
        "concurrency": row.concurrency,
        "p50_ms": row.latency_ms.p50,
        "p95_ms": row.latency_ms.p95,
        "p99_ms": row.latency_ms.p99,
        "images_per_s": row.images_per_s,
        "first_images_per_s": ran.first if ran else None,
        "steady_images_per_s": ran.steady if ran else None,
        "sustained_seconds": ran.seconds if ran else None,
        "cold_start_ms": row.cold_start_ms,
        "peak_bytes": row.peak_bytes,
        "base_bytes": row.base_bytes,
        "over_base_bytes": over_base(row),
        "charged_bytes": measured.charges.most_bytes if measured.charges else None,
        "watts": row.watts,
        "joules_per_image": row.joules_per_image,
        "blocks_resident": blocks.resident,
        "blocks_streamed": blocks.streamed,
        "blocks_reloaded": blocks.reloaded,
        "max_abs_diff": row.max_abs_diff,
        "latency_ratio": _rounded(against.latency),
        "memory_ratio": _rounded(against.memory),
        "cold_ratio": _rounded(against.cold),
        "sustained_ratio": _rounded(against.sustained),
    }


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = printable(" ".join(value.split()))
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)
