"""Time whole graphs against each other: alternating runs in one process, medians; what was timed once stays known."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_export.run import open_session, run
from edge_export.search.latency.table import LatencyTable

__all__ = ["measure_pair"]

ROUNDS = 30
# A pair that takes longer than this in all is timed with fewer rounds, but with no fewer than LEAST.
SECONDS = 6.0
LEAST = 7
TURNS = 3

Times = tuple[list[float], list[float]]  # seconds of the reference's and the other's runs


def measure_pair(
    table: LatencyTable, reference: Path, other: Path, feeds: Mapping[str, NDArray[np.generic]], heavy: bool = False
) -> tuple[float, float]:
    """Return the milliseconds of two graphs on one sample: of the first the median, of the other that times the median
    ratio of alternating runs.

    `heavy`: only one is open at a time. Times are kept in the table under the pair's digest: the same pair is not timed
    again.
    """
    digest = _digest(reference, other, feeds)
    keys = (f"{digest} a", f"{digest} b")
    if not all(key in table.graphs for key in keys):
        times = _in_turns(reference, other, feeds) if heavy else _alternating(reference, other, feeds)
        # What else runs slows both of one round: the median of ratios says more than that of each one's times.
        first, ratio = float(np.median(times[0])) * 1e3, float(np.median(np.divide(times[1], times[0])))
        for key, value in zip(keys, (first, first * ratio), strict=True):
            table.graphs[key] = round(value, 4)
        table.save()
    return table.graphs[keys[0]], table.graphs[keys[1]]


def _alternating(reference: Path, other: Path, feeds: Mapping[str, NDArray[np.generic]]) -> Times:
    sessions = [open_session(reference), open_session(other)]
    for session in sessions:
        run(session, feeds)
    times: Times = ([], [])
    began = time.perf_counter()
    for round_ in range(ROUNDS):
        for place, session in enumerate(sessions):
            times[place].append(_timed(session, feeds))
        if round_ + 1 >= LEAST and time.perf_counter() - began > SECONDS:
            break
    return times


def _in_turns(reference: Path, other: Path, feeds: Mapping[str, NDArray[np.generic]]) -> Times:
    """Two sessions of a heavy graph would hold its weights too often: one is open at a time, TURNS times each."""
    times: Times = ([], [])
    for _ in range(TURNS):
        for place, path in enumerate((reference, other)):
            session = open_session(path)
            run(session, feeds)
            times[place].extend(_timed(session, feeds) for _ in range(LEAST))
            del session
    return times


def _timed(session: onnxruntime.InferenceSession, feeds: Mapping[str, NDArray[np.generic]]) -> float:
    start = time.perf_counter()
    run(session, feeds)
    return time.perf_counter() - start


def _digest(reference: Path, other: Path, feeds: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256()
    for path in (reference, other):
        digest.update(path.read_bytes())
    for name, values in sorted(feeds.items()):
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
    return digest.hexdigest()[:24]
