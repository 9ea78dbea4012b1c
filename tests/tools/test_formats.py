"""The matrix of formats: its answers are worth what they say, and one film is really judged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_tools.damage.judge import Answer, EdgeRun, Said, default_command
from edge_tools.formats.cases import Case, cases, pixel_formats
from edge_tools.formats.matrix import Result, as_table, tried, verdict

SAMPLE = Path(__file__).parents[2] / "samples" / "pcb"
NG, OK, UNREAD = Said("NG", ("open x1",)), Said("OK"), Said("NO_READ", ("its data are damaged",))

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer([NG, NG], 0, ""), ("right", "")),
        (Answer([NG, OK], 0, ""), ("WRONG", "1 of 2 OK")),
        (Answer([NG, UNREAD], 0, ""), ("no read", "its data are damaged")),
        (Answer([UNREAD, OK], 0, ""), ("WRONG", "1 of 2 OK")),
        (Answer([Said("NO_READ")], 0, ""), ("WRONG", "NO_READ without a reason")),
        (Answer([], 5, "Error: no video"), ("sentence", "Error: no video")),
        (Answer([], 0, ""), ("WRONG", "nothing")),
        (Answer([], -11, ""), ("WRONG", "nothing")),
        (Answer([NG], 0, ""), ("short", "1 of 2 frames")),
    ],
)
def test_a_film_of_defects_is_right_unread_or_wrong(answer: Answer, expected: tuple[str, str]) -> None:
    assert verdict(answer, 2) == expected


def test_the_table_counts_each_group_and_names_what_is_not_right() -> None:
    results = [Result("codec", "a", ".avi", "right"), Result("still", "b", ".pcx", "WRONG", "nothing")]
    table = as_table(results)
    assert "| codec | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 |" in table
    assert "| all | 2 | 1 | 0 | 0 | 0 | 0 | 1 | 0 |" in table
    assert "- WRONG: still b (.pcx): nothing" in table


@needs_ffmpeg
def test_pixel_formats_are_ffmpegs_own_and_an_encoder_that_is_not_there_has_none() -> None:
    assert "yuv420p" in pixel_formats("mpeg4")
    assert pixel_formats("no_such_encoder") == []


def test_of_each_codec_so_many_pixel_formats_are_taken_spread_over_its_list() -> None:
    def four(encoder: str) -> list[str]:
        return ["a", "b", "c", "d"] if encoder == "ffv1" else []

    def taken(most: int | None) -> list[str]:
        return [case.name for case in cases(most, four) if case.group == "codec"]

    assert taken(2) == ["ffv1 a", "ffv1 d"]
    assert taken(1) == ["ffv1 a"]
    assert len(taken(None)) == 4


@needs_ffmpeg
def test_a_film_is_made_and_judged_by_the_real_edge_run(tmp_path: Path) -> None:
    board = np.full((2, 64, 64, 3), 255, np.uint8)
    wanted = [
        Case("container", ".avi", ".avi", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p")),
        Case("container", "none", ".avi", ("-c:v", "no_such_encoder")),
    ]
    judge = EdgeRun(default_command(), SAMPLE / "pcb.edge")
    made, missing = tried(board, wanted, judge, tmp_path)
    # A white sheet is OK, and so it is as ffmpeg reads it: nothing was lost in the reading.
    assert made.answer == "lost in the codec"
    assert missing.answer == "not made"
