"""The rows as tables: for a terminal, and as markdown for the README."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_runtime.files.sizes import format_size
from edge_tools.export_bench.results import Row

__all__ = ["as_markdown", "as_text"]

_HEAD = ("model", "exporter", "figure", "change (95 %)", "fidelity", "SQNR dB", "bytes", "of FP32", "latency",
         "export s", "peak MB", "twice")  # fmt: skip
_WORDS = 2


def as_text(rows: Sequence[Row]) -> str:
    """Return an aligned table, a blank line between models, failures with their reason."""
    lines = [_HEAD, *map(_cells, rows)]
    full = [line for line in lines if len(line) == len(_HEAD)]
    widths = [max(len(line[i]) for line in (lines if i < _WORDS else full)) for i in range(len(_HEAD))]
    text, last = [], ""
    for line in lines:
        if last not in ("", _HEAD[0], line[0]):
            text.append("")
        last = line[0]
        # A failure's reason stands where the figures would, as long as it likes.
        wide = widths if len(line) == len(_HEAD) else [*widths[:_WORDS], 0]
        text.append("  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)).rstrip())
    return "\n".join(text) + "\n"


def as_markdown(rows: Sequence[Row], command: str) -> str:
    """Return the table for the README, with what it was made with below."""
    lines = ["| " + " | ".join(_HEAD) + " |", "| --- | --- |" + " ---: |" * (len(_HEAD) - _WORDS)]
    for row in rows:
        cells = list(_cells(row))
        cells += ["-"] * (len(_HEAD) - len(cells))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    versions = ", ".join(dict.fromkeys(row.version for row in rows if not row.version.startswith("! ")))
    rounds = sorted({row.timed.rounds for row in rows if row.timed})
    timed = f" Latency: ratio to FP32, median of {rounds[0]} interleaved rounds, 2 threads." if rounds else ""
    return "\n".join([*lines, "", f"Made by `{command}`.{timed} {versions}.", ""])


def _cells(row: Row) -> tuple[str, ...]:
    if row.problem:
        return (row.subject, row.exporter, row.problem)
    assert row.judged is not None  # a row without a problem has figures
    assert row.bytes is not None
    judged, timed = row.judged, row.timed
    return (
        row.subject,
        row.exporter,
        f"{judged.metric} {_number(judged.value)}",
        _change(row),
        ", ".join(f"{name} {_number(value)}" for name, value in judged.fidelity.items()) or "-",
        "-" if judged.sqnr_db is None else f"{judged.sqnr_db:.1f}",
        format_size(row.bytes),
        f"{row.bytes / row.fp32_bytes:.2f}x",
        "-" if timed is None else f"{timed.ratio:.2f}x",
        "-" if row.seconds is None else f"{row.seconds:.1f}",
        "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}",
        {None: "-", True: "same", False: "DIFFERENT"}[row.identical],
    )


def _change(row: Row) -> str:
    judged = row.judged
    if judged is None or judged.change is None or judged.low is None or judged.high is None:
        return "-"
    return f"{judged.change:+.3f} ({judged.low:+.3f} .. {judged.high:+.3f})"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
