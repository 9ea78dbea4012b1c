"""What the rows say of edgeline against the others, model by model: the bars of the project's own issue, counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_tools.export_bench.results import Row

__all__ = ["as_summary"]

_OURS = "edgeline-"
_FAST_BASE = "ort-minmax"
_CLOSE = 0.003  # 0.3 points; for an SQNR, dB
_MEMORY_FACTOR, _MEMORY_BASE = 1.5, 300e6


def as_summary(rows: Sequence[Row]) -> str:
    """Return one line for each model that edgeline was measured on, and the counts; "" without such a model."""
    lines = []
    best = close = 0
    for subject in dict.fromkeys(row.subject for row in rows):
        there = [row for row in rows if row.subject == subject and row.judged is not None]
        ours = [row for row in there if row.exporter.startswith(_OURS)]
        others = [row for row in there if not row.exporter.startswith(_OURS)]
        if not ours or not others:
            continue
        mine, theirs = _best(ours), _best(others)
        behind = _value(theirs) - _value(mine)
        best, close = best + (behind <= 0), close + (behind <= _CLOSE)
        words = [f"{mine.exporter} {_value(mine):.3f}, best other {theirs.exporter} {_value(theirs):.3f}"]
        words += _doubts(mine, theirs, ours, others)
        lines.append(f"{subject:<20}  {'best  ' if behind <= 0 else 'behind'}  {'; '.join(words)}")
    if not lines:
        return ""
    return "\n".join([*lines, f"best on {best} of {len(lines)}, at most {_CLOSE} behind on {close}", ""])


def _doubts(mine: Row, theirs: Row, ours: Sequence[Row], others: Sequence[Row]) -> Iterable[str]:
    """Yield what does not hold: size, latency, the export's time and memory, the same bytes twice."""
    if mine.bytes and theirs.bytes and mine.bytes > theirs.bytes:
        yield f"larger than it ({mine.bytes / theirs.bytes:.2f}x)"
    base = next((row for row in others if row.exporter == _FAST_BASE), None)
    for row in ours:
        if row.timed and row.timed.ratio > 1.0:
            yield f"{row.exporter} slower than FP32 ({row.timed.ratio:.2f}x)"
        elif row.timed and base and base.timed and row.timed.ratio > base.timed.ratio:
            yield f"{row.exporter} slower than {_FAST_BASE} ({row.timed.ratio:.2f}x, {base.timed.ratio:.2f}x)"
        fast = row.exporter == f"{_OURS}fast"
        if fast and row.seconds and base and base.seconds and row.seconds > base.seconds:
            yield f"{row.exporter} takes {row.seconds:.1f} s, {_FAST_BASE} {base.seconds:.1f} s"
        if row.peak_bytes and row.peak_bytes > _MEMORY_FACTOR * row.fp32_bytes + _MEMORY_BASE:
            yield f"{row.exporter} peaks at {row.peak_bytes / 1e6:.0f} MB"
        if row.identical is False:
            yield f"{row.exporter} writes other bytes the second time"


def _value(row: Row) -> float:
    assert row.judged is not None  # the caller's choice of rows
    return row.judged.value


def _best(rows: Sequence[Row]) -> Row:
    return max(rows, key=_value)
