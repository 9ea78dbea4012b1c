"""What a station has done since it was started, in memory that does not grow."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Any

from edge_runtime.inspect.summary import Histogram
from edge_runtime.store.entries import VERDICTS, Event, PartVerdict

__all__ = ["Figures"]

_RECENT_S = 10.0
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # of lags, as they are counted for Prometheus


class Figures:
    """Counts of one station. One thread adds, others look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._verdicts: Counter[PartVerdict] = Counter()
        self._lag = Histogram()
        self._times: deque[float] = deque(maxlen=2000)
        self._last: Event | None = None
        self._silent = 0
        self._silence = ""

    def add(self, event: Event, judged_s: float, lag_ms: float) -> None:
        """Count one event."""
        with self._lock:
            self._verdicts[event.verdict] += 1
            self._lag.add(lag_ms)
            self._times.append(judged_s)
            self._last = event
            if event.verdict == "NO_READ" and "picture" in event.body:  # the model looked at one, and said nothing
                self._silent += 1
                self._silence = next(iter(event.body.get("reasons", [])), "")

    def parts(self) -> int:
        """How many there were."""
        with self._lock:
            return sum(self._verdicts.values())

    def judged(self) -> int:
        """How many of them were judged."""
        with self._lock:
            return sum(count for verdict, count in self._verdicts.items() if verdict != "NO_READ")

    def silent(self) -> tuple[int, str]:
        """How many the model saw and did not judge (or too late), and why the last of them was not."""
        with self._lock:
            return self._silent, self._silence

    def line(self) -> str:
        """The counts as words."""
        with self._lock:
            counts = [f"{verdict} {self._verdicts[verdict]}" for verdict in VERDICTS if self._verdicts[verdict]]
            parts = sum(self._verdicts.values())
            return "  ".join([f"{parts} part{'s' * (parts != 1)}", *counts])

    def to_json(self, now_s: float) -> dict[str, Any]:
        """What `edge-station status` shows of it: counts, parts a second of late, lag in milliseconds."""
        with self._lock:
            recent = [moment for moment in self._times if now_s - moment <= _RECENT_S]
            span = now_s - recent[0] if len(recent) == len(self._times) and recent else _RECENT_S
            return {
                "verdicts": {verdict: self._verdicts[verdict] for verdict in VERDICTS},
                "rate": round(len(recent) / max(span, 1.0), 2),
                "lag_ms": {f"p{percent}": round(self._lag.percentile(percent), 1) for percent in (50, 95, 99)},
                "lags": {
                    "below_s": {str(bound): self._lag.below(1000 * bound) for bound in _BOUNDS_S},
                    "count": self._lag.count,
                    "sum_s": round(self._lag.sum_ms / 1000, 6),
                },
                "last": None
                if self._last is None
                else {
                    "verdict": self._last.verdict,
                    "ts": self._last.body["ts_utc"],
                    "reasons": self._last.body.get("reasons", []),
                },
            }
