"""What a run amounts to, in memory that does not grow with the number of frames."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from pathlib import Path

from edge_runtime.bundle.facts import Verdict
from edge_runtime.files.sizes import format_size
from edge_runtime.inspect.record import Record, Served

__all__ = ["Histogram", "SourceFigures", "Summary"]

_LOWEST_MS = 0.01
_RATIO = 1.01
_BINS = 1 + math.ceil(math.log(1e7 / _LOWEST_MS) / math.log(_RATIO))  # to 1e7 ms, near three hours
_REASONS_KEPT = 5
_LARGE = 50_000_000  # bytes of weights: below it, that they were checked is not worth a line


class Histogram:
    """Percentiles of durations in milliseconds, each within 1 % of a value that was added (0.01 to 1e7 ms).

    Bins grow by 1 %, and a bin answers with its geometric middle, so the error is at most 0.5 %; some 2100
    counters hold any number of values.
    """

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BINS))  # a list would come to hold an int of its own in each bin
        self.count = 0
        self.sum_ms = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one duration."""
        place = 0
        if milliseconds > _LOWEST_MS:
            place = min(_BINS - 1, int(math.log(milliseconds / _LOWEST_MS) / math.log(_RATIO)))
        self._counts[place] += 1
        self.count += 1
        self.sum_ms += max(0.0, milliseconds)

    def below(self, milliseconds: float) -> int:
        """Return how many were at most so long, within 1 %."""
        place = int(math.log(max(milliseconds, _LOWEST_MS) / _LOWEST_MS) / math.log(_RATIO))
        return sum(self._counts[: place + 1])

    def percentile(self, percent: float) -> float:
        """Return the nearest-rank percentile in milliseconds; 0 when nothing was added."""
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for place, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return float(_LOWEST_MS * _RATIO ** (place + 0.5))
        return 0.0


class SourceFigures:
    """Counts of one of several sources: verdicts, latencies from capture to verdict, what was dropped and why."""

    def __init__(self) -> None:
        self.verdicts: Counter[Verdict] = Counter()
        self.latency = Histogram()
        self.dropped: Counter[str] = Counter()
        self.missed = 0
        self._batches = 0.0

    def add(self, verdict: Verdict, served: Served | None) -> None:
        """Count one frame; `served` None: it could not be read."""
        self.verdicts[verdict] += 1
        if served is not None:
            self.latency.add(served.latency_ms)
            self.missed += served.late
            self._batches += 1 / max(served.batch, 1)

    @property
    def mean_batch(self) -> float:
        """Return how many frames ran together on average; 0 when none did."""
        return self.latency.count / self._batches if self._batches else 0.0

    def line(self) -> str:
        """Return the figures as one line of text."""
        count = sum(self.verdicts.values())
        parts = [f"{count} frame{'s' * (count != 1)}  " + "  ".join(f"{v} {self.verdicts[v]}" for v in _ORDER)]
        if self.latency.count:
            parts.append("  ".join(f"p{percent} {self.latency.percentile(percent):.1f} ms" for percent in (50, 95, 99)))
            parts.append(f"batch {self.mean_batch:.1f}")
        if self.missed:
            parts.append(f"late {self.missed}")
        if self.dropped:
            parts.append(f"dropped {_reasons(self.dropped)}")
        return "   ".join(parts)


def _reasons(dropped: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))


class Summary:
    """Counts verdicts, failures and latencies of a run."""

    def __init__(self) -> None:
        self.verdicts: Counter[Verdict] = Counter()
        self.latency = Histogram()
        self.unread = 0
        self.dropped = 0
        self.seconds = 0.0
        self.saved: list[tuple[str, Path]] = []
        # Bytes of the whole process: the most it took, and its limit; 0 for none.
        self.peak_bytes = self.limit_bytes = 0
        # While the model was prepared, of this process and of the one that did that, without pages of files, which the
        # kernel takes back; 0: nothing was prepared.
        self.preparing_bytes = self.preparing_child_bytes = 0
        # Weights that were read once more to be sure of them, and the seconds that somebody waited for that.
        self.checked_bytes, self.checking_seconds = 0, 0.0
        # Of several sources that were served at a time, by name.
        self.sources: dict[str, SourceFigures] = {}
        # What was given up to keep up, and why.
        self.degraded: list[str] = []
        # Sources whose reader did not come back, and that were left to it.
        self.left: list[str] = []
        # What a user should know of the sources and no frame says.
        self.notices: list[str] = []
        # What became of the threads beside other work; "": nothing to be said.
        self.threads = ""
        self._failures: Counter[str] = Counter()
        self._unjudged: Counter[str] = Counter()

    @property
    def frames(self) -> int:
        """Return the number of frames, unreadable ones included."""
        return sum(self.verdicts.values())

    def add(self, record: Record, read: bool = True) -> None:
        """Count one frame. One that was not `read` has failed and does not count for the latencies."""
        self.verdicts[record["verdict"]] += 1
        if read:
            self.latency.add(record.get("latency_ms", record["timing_ms"]["total"]))
        else:
            self.unread += 1
        if record["verdict"] == "NO_READ":
            reason = ", ".join(record["reasons"]) or "no reason given"
            reasons = self._unjudged if read else self._failures
            if reason in reasons or len(reasons) < _REASONS_KEPT:
                reasons[reason] += 1

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        count = self.frames
        verdicts = "  ".join(f"{verdict} {self.verdicts[verdict]}" for verdict in _ORDER)
        rate = f"{count / self.seconds:.1f} frames/s" if self.seconds > 0 else "no time taken"
        lines = [f"{count} frame{'s' * (count != 1)} in {self.seconds:.1f} s, {rate}   {verdicts}"]
        if self.latency.count:
            parts = "  ".join(f"p{percent} {self.latency.percentile(percent):.1f} ms" for percent in (50, 95, 99))
            lines.append(f"latency  {parts}" + "  from capture to verdict" * bool(self.sources))
        lines += self._served()
        if self.dropped:
            lines.append(f"dropped  {self.dropped} frames came faster than they could be judged")
        lines += _counted("failed   ", self._failures, self.unread)
        lines += _counted("not judged  ", self._unjudged, self.verdicts["NO_READ"] - self.unread)
        lines += [f"note     {sentence}" for sentence in self.notices]
        if self.threads:
            lines.append(f"threads  {self.threads}")
        lines += [f"left     {name}: its reader hangs, so it was not closed under it" for name in self.left]
        if self.limit_bytes:
            held = "within" if self.peak_bytes <= self.limit_bytes else "ABOVE"
            peak, limit = format_size(self.peak_bytes), format_size(self.limit_bytes)
            lines.append(f"memory   peak {peak}, {held} the limit of {limit}")
            lines += self._preparing(limit)
        if self.checked_bytes > _LARGE:
            size = format_size(self.checked_bytes)
            lines.append(
                f"checked  {size} of weights were read once more, {self.checking_seconds:.2f} s waited for that"
            )
        lines += [f"saved    {what} in {place}" for what, place in self.saved if place.exists()]
        return lines

    def _preparing(self, limit: str) -> list[str]:
        """What preparing took beside this process, within a limit."""
        if not self.preparing_child_bytes:
            return []
        both = self.preparing_bytes + self.preparing_child_bytes
        held = "within" if both <= self.limit_bytes else "ABOVE"
        own = format_size(self.preparing_child_bytes)
        words = f"peak {format_size(both)} beside pages of files, {own} of it in a process of its own"
        return [f"prepared {words}, {held} the limit of {limit}"]

    def _served(self) -> list[str]:
        """What is to be said of several sources."""
        missed = sum(figures.missed for figures in self.sources.values())
        batches = [figures for figures in self.sources.values() if figures.mean_batch]
        lines = []
        if batches:
            count = sum(figures.latency.count for figures in batches)
            mean = count / sum(figures.latency.count / figures.mean_batch for figures in batches)
            lines.append(f"batch    {mean:.1f} frames together on average")
        if missed:
            lines.append(f"late     {missed} verdict{'s' * (missed != 1)} came after the deadline")
        if len(self.sources) > 1:
            width = max(len(name) for name in self.sources)
            lines += [f"  {name:<{width}}  {figures.line()}" for name, figures in self.sources.items()]
        dropped = sum((figures.dropped for figures in self.sources.values()), Counter[str]())
        if dropped:
            lines.append(f"dropped  {_reasons(dropped)}: not looked at")
        lines += [f"degraded {sentence}" for sentence in self.degraded]
        return lines


def _counted(label: str, reasons: Counter[str], frames: int) -> list[str]:
    lines = [f"{label}{reason}" + f"  (x{n})" * (n > 1) for reason, n in reasons.items()]
    more = frames - sum(reasons.values())
    return [*lines, f"{label}... and {more} more"] if more > 0 else lines


_ORDER: tuple[Verdict, ...] = ("OK", "NG", "NO_READ")
