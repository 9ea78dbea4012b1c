"""What became of each case so far, and how long the rest will take."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_devices.power import Consumption
from edge_tools.bench.cases import Blocks, Case, Latency, MeasuredCase, Row, Status, Sustained
from edge_tools.bench.confine import Charges
from edge_tools.bench.process import Worker

__all__ = ["Tally", "measured", "seconds_left"]


@dataclass
class Tally:
    """One case. `base` and `peak` are bytes of the process whose memory was watched; `start_s` how long its cold starts
    so far took (calls timed in them included)."""

    case: Case
    status: Status = "ok"
    message: str = ""
    cold_ms: list[float] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)
    base: int = 0
    peak: int = 0
    difference: float = 0.0
    blocks: Blocks = field(default_factory=Blocks)
    charges: Charges | None = None
    start_s: list[float] = field(default_factory=list)
    sustained: Sustained | None = None
    consumption: Consumption | None = None

    def opened(self, worker: Worker) -> None:
        """Take down what a process told of its first result."""
        self.blocks = Blocks(*worker.first["blocks"])

    def ended(self, status: Status, message: str) -> None:
        """Take down that it came to nothing."""
        self.status, self.message = status, message

    def charged(self, charges: Charges | None) -> None:
        """Add what its control group was charged this time."""
        if self.charges is None or charges is None:
            self.charges = self.charges or charges
            return
        kills, at_limit = self.charges.oom_kills + charges.oom_kills, self.charges.at_limit + charges.at_limit
        self.charges = Charges(kills, at_limit, max(self.charges.most_bytes, charges.most_bytes))


def seconds_left(tallies: Sequence[Tally], starts: int, calls_s: float, sustain_s: float) -> float | None:
    """Return about how long all that is not done yet takes; None before the first start is over.

    `calls_s` is the time of one case's calls where they are timed apart from its starts, else 0.
    """
    known = [seconds for tally in tallies for seconds in tally.start_s]
    if not known:
        return None
    usual, left = statistics.fmean(known), 0.0
    for tally in tallies:
        if tally.status != "ok":
            continue
        own = statistics.fmean(tally.start_s) if tally.start_s else usual
        left += own * max(0, starts - len(tally.start_s))
        left += calls_s * (not tally.times_ms) + sustain_s * (tally.sustained is None)
    return left


def measured(tally: Tally, confined: bool, label: str) -> MeasuredCase:
    """Return the row of a case that is done."""
    case = tally.case
    if tally.status != "ok":
        row = Row(
            *(case.engine, case.memory_limit, case.batch, None, confined, tally.status, tally.message),
            model=case.name,
            precision=case.precision,
            label=label,
        )
        return MeasuredCase(row, tally.charges)
    p50, p95, p99 = (round(float(value), 3) for value in np.percentile(tally.times_ms, (50, 95, 99)))
    used, ran = tally.consumption, tally.sustained
    return MeasuredCase(
        Row(
            engine=case.engine,
            memory_limit_bytes=case.memory_limit,
            batch=case.batch,
            concurrency=1,
            confined=confined,
            status="ok",
            message="",
            latency_ms=Latency(p50, p95, p99),
            images_per_s=round(1e3 * case.batch * len(tally.times_ms) / sum(tally.times_ms), 3),
            cold_start_ms=round(float(np.median(tally.cold_ms)), 1),
            peak_bytes=tally.peak,
            base_bytes=tally.base,
            blocks=tally.blocks,
            max_abs_diff=tally.difference,
            model=case.name,
            precision=case.precision,
            label=label,
            sustained=ran,
            watts=None if used is None else round(used.watts, 3),
            joules_per_image=None if used is None or ran is None else _joules(used, ran),
        ),
        tally.charges,
    )


def _joules(used: Consumption, ran: Sustained) -> float:
    """Return joules for one image, with five digits that count."""
    return float(f"{used.watts * ran.seconds / ran.images:.5g}")
