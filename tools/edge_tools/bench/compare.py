"""Which row the others are compared with, and by how much they differ from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_tools.bench.cases import Row

__all__ = ["Ratios", "over_base", "plain_row", "ratios"]


@dataclass(frozen=True)
class Ratios:
    """A row's figure over the plain row's; None where either is not known. `memory` is what is over the base."""

    latency: float | None = None
    memory: float | None = None
    cold: float | None = None
    sustained: float | None = None


def plain_row(rows: Sequence[Row], batch: int) -> Row | None:
    """Return plain onnxruntime of that batch size: the model that was named first, at the largest limit it survived."""
    plain = [row for row in rows if row.batch == batch and row.engine == "onnxruntime" and row.status == "ok"]
    first = [row for row in plain if row.model == plain[0].model]
    return max(
        first, key=lambda row: float("inf") if row.memory_limit_bytes is None else row.memory_limit_bytes, default=None
    )


def ratios(row: Row, plain: Row | None) -> Ratios:
    """Return a row against the plain one; nothing for the plain row itself."""
    if plain is None or row is plain or row.status != "ok":
        return Ratios()
    steady = [each.sustained.steady if each.sustained else None for each in (row, plain)]
    return Ratios(
        latency=_over(row.latency_ms.p50, plain.latency_ms.p50),
        memory=_over(over_base(row), over_base(plain)),
        cold=_over(row.cold_start_ms, plain.cold_start_ms),
        sustained=_over(*steady),
    )


def over_base(row: Row) -> int | None:
    """Return the peak less what interpreter and libraries take."""
    return None if row.peak_bytes is None or row.base_bytes is None else row.peak_bytes - row.base_bytes


def _over(one: float | None, other: float | None) -> float | None:
    return one / other if one and other else None
