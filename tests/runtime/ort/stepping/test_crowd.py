from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edge_runtime.ort.stepping.crowd import Crowd, busy_seconds, put_off

pytestmark = pytest.mark.skipif(not hasattr(os, "sysconf"), reason="no /proc/stat where there is no sysconf")
TICKS = 100


def stat(path: Path, *busy_and_idle: tuple[int, int]) -> Path:
    """Write /proc/stat with so many hundredths of a second for each core, half a busy one stolen."""
    scale = os.sysconf("SC_CLK_TCK") // TICKS
    lines = ["cpu  1 2 3 4 5 6 7 8 9 10"]
    for number, (busy, idle) in enumerate(busy_and_idle):
        half = busy * scale // 2
        lines.append(f"cpu{number} {busy * scale - half} 0 0 {idle * scale} 7 0 0 {half} 99 99")
    path.write_text("\n".join([*lines, "intr 1 2 3", "ctxt 5"]) + "\n", encoding="ascii")
    return path


class Times:
    """A clock and this process's own seconds, set by hand."""

    def __init__(self) -> None:
        self.now = self.own = 0.0


def crowd(path: Path, times: Times, cores: tuple[int, ...] = (0, 1)) -> Crowd:
    return Crowd(cores, path, lambda: times.now, lambda: times.own)


def test_busy_time_is_all_but_waiting_and_stolen_time_is_in_it(tmp_path: Path) -> None:
    path = stat(tmp_path / "stat", (300, 50), (100, 250))
    assert busy_seconds(path, frozenset({0, 1})) == pytest.approx(4.0)
    assert busy_seconds(path, frozenset({1})) == pytest.approx(1.0)


def test_what_others_take_is_not_left_and_what_this_process_takes_is(tmp_path: Path) -> None:
    path, times = tmp_path / "stat", Times()
    looking = crowd(stat(path, (0, 0), (0, 0)), times)
    assert looking.room() is None
    times.now, times.own = 1.0, 0.5
    stat(path, (100, 0), (75, 25))  # 1.75 s, half a second of them ours
    assert looking.room() == pytest.approx(0.75)


def test_looks_that_are_close_together_say_nothing_by_themselves(tmp_path: Path) -> None:
    path, times = tmp_path / "stat", Times()
    looking = crowd(stat(path, (0, 0)), times, (0,))
    looking.room()
    times.now = 0.1
    assert looking.room() is None
    times.now = 0.3
    stat(path, (30, 0))
    assert looking.room() == pytest.approx(0.0)
    times.now = 0.6
    assert looking.room() == pytest.approx(1.0)  # of the last quarter of a second or more, not of all


def test_more_than_there_is_cannot_be_taken_nor_left(tmp_path: Path) -> None:
    path, times = tmp_path / "stat", Times()
    looking = crowd(stat(path, (0, 0)), times, (0,))
    looking.room()
    times.now = 1.0
    stat(path, (130, 0))
    assert looking.room() == 0.0
    times.now, times.own = 2.0, 1.5
    assert looking.room() == 1.0


@pytest.mark.parametrize("text", ["", "cpu 1 2", "cpu0 a b c d"])
def test_a_system_that_tells_nothing_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text, encoding="ascii")
    assert busy_seconds(tmp_path / "stat", frozenset({0})) is None
    assert busy_seconds(tmp_path / "none", frozenset({0})) is None
    assert Crowd((0,), tmp_path / "none").room() is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts it for each thread")
def test_this_thread_knows_how_often_it_was_put_off() -> None:
    count = put_off()
    assert count is not None
    assert count >= 0
