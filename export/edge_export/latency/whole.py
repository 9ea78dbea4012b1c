"""Time whole graphs against each other: alternating runs in one process, medians; what was timed once stays known."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.latency.table import LatencyTable
from edge_export.ort import open_session, run

__all__ = ["measure_pair"]

ROUNDS = 30
# A pair that takes longer than this in all is timed with fewer rounds, but with no fewer than LEAST.
SECONDS = 6.0
LEAST = 7


def measure_pair(
    table: LatencyTable, reference: Path, other: Path, feeds: Mapping[str, NDArray[np.generic]]
) -> tuple[float, float]:
    """Return the milliseconds of two graphs on one sample: of the first the median, of the other that times the median
    ratio of alternating runs.

    Times are kept in the table under the pair's digest: the same pair is not timed again.
    """
    digest = _digest(reference, other, feeds)
    keys = (f"{digest} a", f"{digest} b")
    if not all(key in table.graphs for key in keys):
        sessions = [open_session(reference), open_session(other)]
        for session in sessions:
            run(session, feeds)
        times: tuple[list[float], list[float]] = ([], [])
        began = time.perf_counter()
        for round_ in range(ROUNDS):
            for place, session in enumerate(sessions):
                start = time.perf_counter()
                run(session, feeds)
                times[place].append(time.perf_counter() - start)
            if round_ + 1 >= LEAST and time.perf_counter() - began > SECONDS:
                break
        # What else runs slows both of one round: the median of ratios says more than that of each one's times.
        first, ratio = float(np.median(times[0])) * 1e3, float(np.median(np.divide(times[1], times[0])))
        for key, value in zip(keys, (first, first * ratio), strict=True):
            table.graphs[key] = round(value, 4)
        table.save()
    return table.graphs[keys[0]], table.graphs[keys[1]]


def _digest(reference: Path, other: Path, feeds: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256()
    for path in (reference, other):
        digest.update(path.read_bytes())
    for name, values in sorted(feeds.items()):
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
    return digest.hexdigest()[:24]
