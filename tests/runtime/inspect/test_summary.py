"""The closing summary."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspect.record import Record
from edge_runtime.inspect.summary import Histogram, Summary


def record(verdict: str, total: float = 10.0, *reasons: str) -> Record:
    return {"verdict": verdict, "timing_ms": {"total": total}, "reasons": reasons, "source": "s"}


@given(st.lists(st.floats(0.02, 1e6), min_size=1, max_size=60), st.sampled_from([50, 95, 99]))
def test_percentiles_are_within_one_percent_of_the_nearest_rank(values: list[float], percent: int) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.01)


@given(st.floats(0, 1e300))
def test_any_duration_finds_a_bin(value: float) -> None:
    histogram = Histogram()
    histogram.add(value)
    assert histogram.percentile(50) > 0


def test_an_empty_histogram_answers_zero() -> None:
    assert Histogram().percentile(99) == 0


def test_a_histogram_does_not_grow() -> None:
    histogram = Histogram()
    values = [0.1 * 1.05**number for number in range(200)]
    before = len(histogram._counts), sys.getallocatedblocks()
    for _ in range(300):
        for value in values:
            histogram.add(value)
    assert len(histogram._counts) == before[0]
    assert sys.getallocatedblocks() - before[1] < 100  # and no object for each bin


def test_the_summary_counts_verdicts_and_names_the_first_failures() -> None:
    summary = Summary()
    for verdict in ("OK", "OK", "NG"):
        summary.add(record(verdict))
    for number in range(7):
        summary.add(record("NO_READ", 0.1, f"cannot decode: {number}.jpg"), read=False)
    summary.seconds = 2.0
    text = "\n".join(summary.lines())
    assert "10 frames in 2.0 s, 5.0 frames/s   OK 2  NG 1  NO_READ 7" in text
    assert "cannot decode: 4.jpg" in text
    assert "cannot decode: 5.jpg" not in text
    assert "and 2 more" in text


def test_a_failure_that_repeats_is_named_once() -> None:
    summary = Summary()
    for _ in range(100):
        summary.add(record("NO_READ", 0.1, "camera 0 lost"), read=False)
    assert summary.lines()[1:] == ["failed   camera 0 lost  (x100)"]


def test_frames_that_were_not_read_do_not_improve_the_latency() -> None:
    summary = Summary()
    summary.add(record("OK", 20.0))
    for _ in range(9):
        summary.add(record("NO_READ", 0.1, "lost"), read=False)
    assert "p50 20." in "\n".join(summary.lines()) or "p50 19.9" in "\n".join(summary.lines())


def test_a_run_without_frames_has_a_summary_too() -> None:
    assert Summary().lines() == ["0 frames in 0.0 s, no time taken   OK 0  NG 0  NO_READ 0"]


def test_what_was_not_written_is_not_said_to_be_saved(tmp_path: Path) -> None:
    summary = Summary()
    summary.saved = [("labels", tmp_path), ("annotated video", tmp_path / "none.mp4")]
    assert summary.lines()[-1] == f"saved    labels in {tmp_path}"


def test_frames_that_were_read_but_not_judged_are_no_failures() -> None:
    summary = Summary()
    for _ in range(3):
        summary.add(record("NO_READ", 10.0, "no verdict rule"))
    summary.add(record("NO_READ", 0.1, "cannot decode: 4.jpg"), read=False)
    assert summary.lines()[2:] == ["failed   cannot decode: 4.jpg", "not judged  no verdict rule  (x3)"]


def test_the_summary_tells_what_became_of_the_threads() -> None:
    summary = Summary()
    summary.threads = "1 of 2 for 40 % of the run time"
    assert summary.lines()[-1] == "threads  1 of 2 for 40 % of the run time"


def test_many_reasons_for_not_judging_do_not_hide_a_failure() -> None:
    summary = Summary()
    for number in range(9):
        summary.add(record("NO_READ", 10.0, f"undecided: {number}"))
    summary.add(record("NO_READ", 0.1, "cannot decode: 4.jpg"), read=False)
    lines = summary.lines()
    assert "failed   cannot decode: 4.jpg" in lines
    assert lines[-1] == "not judged  ... and 4 more"


@pytest.mark.parametrize(
    ("peak", "line"),
    [
        (95_040_000, "memory   peak 95.0 MB, within the limit of 160.0 MB"),
        (160_000_000, "memory   peak 160.0 MB, within the limit of 160.0 MB"),
        (161_000_000, "memory   peak 161.0 MB, ABOVE the limit of 160.0 MB"),
    ],
)
def test_with_a_limit_the_summary_tells_the_memory_and_whether_it_held(peak: int, line: str) -> None:
    summary = Summary()
    summary.peak_bytes, summary.limit_bytes = peak, 160_000_000
    assert summary.lines()[-1] == line


def test_without_a_limit_the_summary_is_silent_about_memory() -> None:
    summary = Summary()
    summary.peak_bytes = 95_000_000
    assert "memory" not in "\n".join(summary.lines())


def test_what_preparing_took_beside_this_process_is_told_within_a_limit():
    summary = Summary()
    summary.peak_bytes, summary.limit_bytes = 95_000_000, 100_000_000
    assert not any(line.startswith("prepared") for line in summary.lines())
    summary.preparing_bytes, summary.preparing_child_bytes = 40_000_000, 52_000_000
    assert (
        "prepared peak 92.0 MB beside pages of files, 52.0 MB of it in a process of its own, within the limit of "
        "100.0 MB"
    ) in summary.lines()
    summary.preparing_child_bytes = 62_000_000
    assert any("ABOVE" in line for line in summary.lines() if line.startswith("prepared"))


def test_that_large_weights_were_read_once_more_is_told():
    summary = Summary()
    summary.checked_bytes, summary.checking_seconds = 49_000_000, 0.5
    assert not any(line.startswith("checked") for line in summary.lines())
    summary.checked_bytes = 347_000_000
    assert "checked  347.0 MB of weights were read once more, 0.50 s waited for that" in summary.lines()
