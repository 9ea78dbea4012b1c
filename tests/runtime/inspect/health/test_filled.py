"""Rows that a decoder filled with gray are told from pictures that are gray on purpose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.inspect.health.filled import filled
from edge_runtime.inspect.health.watch import Watch


def scene() -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(0)
    return rng.integers(20, 235, (200, 160, 3)).astype(np.uint8)


@pytest.mark.parametrize("rows", [8, 100, 199])
def test_gray_rows_at_the_lower_edge_are_told_with_where_they_begin(rows: int) -> None:
    picture = scene()
    picture[200 - rows :] = 128
    assert filled(picture) == f"never filled: gray 128 from row {200 - rows} of 200 on"
    assert Watch().finding(picture, 0.0) is not None


def test_they_are_told_after_a_jpeg_too() -> None:
    picture = scene()
    picture[104:] = 128
    passed_on = cv2.imdecode(cv2.imencode(".jpg", picture)[1], cv2.IMREAD_COLOR)
    assert passed_on is not None
    assert filled(np.asarray(passed_on, np.uint8)) is not None


@pytest.mark.parametrize("colour", [0, 255, (0, 135, 0), (10, 20, 200)])
@pytest.mark.parametrize("quality", [None, 40, 90])
def test_rows_of_one_colour_behind_a_line_are_told_at_either_edge(colour: int, quality: int | None) -> None:
    picture = cv2.resize(scene(), (320, 400), interpolation=cv2.INTER_CUBIC)
    picture[270:] = colour
    if quality is not None:
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, [1, quality])[1], cv2.IMREAD_COLOR)
    for turned, edge in ((picture, "from row 2"), (picture[::-1], "above row 1")):
        reason = filled(np.asarray(turned, np.uint8))
        assert edge in (reason or "")
        assert "--health off" in (reason or "")


@pytest.mark.parametrize("quality", [None, 80])
def test_in_a_dark_scene_black_rows_are_told_too(quality: int | None) -> None:
    rng = np.random.default_rng(1)
    shapes = cv2.resize(rng.integers(0, 255, (10, 8, 3), dtype=np.uint8), (320, 400), interpolation=cv2.INTER_CUBIC)
    dark = (shapes * 0.04 + 6 + rng.normal(0, 1, shapes.shape)).clip(0, 255).astype(np.uint8)
    for rows, told in ((0, False), (120, True)):
        picture = dark.copy()
        picture[400 - rows :] = 0
        if quality is not None:
            picture = np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [1, quality])[1], cv2.IMREAD_COLOR))
        assert (filled(picture.astype(np.uint8)) is not None) is told


def test_a_last_row_of_blocks_that_is_filled_in_part_is_no_ragged_edge() -> None:
    picture = scene()
    picture[120:], picture[104:, 70:] = 0, 0
    assert "black from row" in (filled(picture) or "")


def test_a_colour_that_the_scene_has_or_that_ends_softly_or_aslant_is_not_taken_for_missing_rows() -> None:
    dark = scene()
    dark[150:], dark[20:60, 20:60] = 0, 0  # black is in the scene
    assert filled(dark) is None
    bars = scene()
    bars[:30], bars[-30:] = 0, 0
    assert filled(bars) is None
    smooth = cv2.GaussianBlur(cv2.resize(scene(), (320, 400)), (0, 0), 2)
    soft = (smooth * np.clip((270 - np.arange(400)) / 3, 0, 1)[:, None, None]).astype(np.uint8)
    assert filled(soft) is None
    aslant = scene()
    cv2.fillPoly(aslant, [np.array([[0, 130], [160, 140], [160, 200], [0, 200]])], (0, 0, 0))
    assert filled(aslant) is None
    text = scene()
    text[150:], text[165:175, 20:50] = 0, 200  # a clock in a bar
    assert filled(text) is None


def test_a_picture_is_not_taken_for_one_that_lacks_rows() -> None:
    assert filled(scene()) is None
    bars = scene()
    bars[:30] = bars[-30:] = 128  # laid on gray
    assert filled(bars) is None
    few = scene()
    few[-3:] = 128
    assert filled(few) is None
    other = scene()
    other[-60:] = 114
    assert filled(other) is None
    noisy = scene()
    noisy[-60:] = np.random.default_rng(1).normal(128, 2, (60, 160, 3)).astype(np.uint8)
    assert filled(noisy) is None


@pytest.mark.parametrize("colour", [0, 128, 254, (10, 20, 200)])
def test_a_picture_of_one_colour_to_the_bit_shows_nothing_unless_it_is_a_small_sample(colour: int) -> None:
    picture = np.empty((100, 120, 3), np.uint8)
    picture[:] = colour
    assert "one colour" in str(filled(picture))
    assert filled(picture[:99]) is None
    picture[60, 70] ^= 1
    assert "of one colour" not in str(filled(picture))


def test_white_to_the_bit_is_an_empty_place_in_pictures_of_two_levels() -> None:
    assert filled(np.full((640, 640, 3), 255, np.uint8)) is None


def test_a_row_that_a_stuck_decoder_repeats_is_told_at_either_end():
    image = np.random.default_rng(0).integers(0, 255, (200, 120, 3), np.uint8)
    stuck = image.copy()
    stuck[130:] = stuck[129]
    assert filled(stuck) == "never filled: one row is repeated from row 129 of 200 on (--health off allows it)"
    upside_down = np.ascontiguousarray(stuck[::-1])
    assert filled(upside_down) == "never filled: one row is repeated above row 71 of 200 (--health off allows it)"
    stuck[:] = stuck[0]
    assert filled(stuck) == "never filled: one row is repeated from row 0 of 200 on (--health off allows it)"


def test_a_few_rows_that_are_the_same_are_how_boards_are_drawn():
    image = np.random.default_rng(0).integers(0, 255, (200, 120, 3), np.uint8)
    image[150:] = image[149]
    assert filled(image) is None
