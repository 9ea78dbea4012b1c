"""Counting: what a file's records amount to, and the table of kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_tools.damage.boards import Box, overlap
from edge_tools.damage.judge import Said

__all__ = ["OUTCOMES", "Row", "as_table", "outcome"]

OUTCOMES = ("found", "no read", "elsewhere", "OK", "unnamed")
_SAME = 0.3  # intersection over union from which a box is the defect's


@dataclass(frozen=True)
class Row:
    """One variant as it was judged."""

    where: str
    kind: str
    form: str
    severity: float
    outcome: str
    reasons: tuple[str, ...] = ()
    name: str = ""

    @property
    def fault(self) -> bool:
        """Whether something unseen passed: as OK, or without a word."""
        return self.outcome in ("OK", "unnamed")


def outcome(records: Sequence[Said], defects: Sequence[Box]) -> str:
    """Return what the records of one file say about a board with `defects`.

    found: NG with a defect where it is. no read: not judged, with a reason. elsewhere: NG, but for something that is
    not there. OK: passed. unnamed: no record at all, so nobody learns that it was not judged; or NO_READ without a
    reason.
    """
    boxes = [box for record in records if record.verdict == "NG" for box in record.boxes]
    if any(overlap(box, defect) >= _SAME for box in boxes for defect in defects):
        return "found"
    unread = [record for record in records if record.verdict == "NO_READ"]
    if unread:
        return "no read" if all(record.reasons for record in unread) else "unnamed"
    if any(record.verdict == "NG" for record in records):
        return "elsewhere"
    return "OK" if records else "unnamed"


def as_table(rows: Iterable[Row], by: str = "kind") -> str:
    """Return a Markdown table: a line for each place and kind (or format), and the sum."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counts.setdefault((row.where, getattr(row, by)), Counter())[row.outcome] += 1
    heads = ("where", by.replace("form", "format"), "variants", *OUTCOMES)
    lines = ["| " + " | ".join(heads) + " |", "| --- | --- |" + " ---: |" * (len(heads) - 2)]
    total: Counter[str] = Counter()
    for (where, what), count in counts.items():
        lines.append(_line(where, what, count))
        total += count
    return "\n".join([*lines, _line("all", "", total)])


def _line(where: str, what: str, count: Counter[str]) -> str:
    cells = [str(count[name]) for name in OUTCOMES]
    return f"| {where} | {what} | {sum(count.values())} | " + " | ".join(cells) + " |"
