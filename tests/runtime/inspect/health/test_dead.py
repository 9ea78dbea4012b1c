"""Pictures in which nothing can be seen are told from honest ones, however dark or plain those are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from places import ROOT

from edge_runtime.inspect.health.dead import dead

SIZES = ((640, 640), (480, 640), (1080, 1920), (240, 320))
BOARDS = sorted((ROOT / "samples/pcb/images").glob("*.png"))

Picture = NDArray[np.uint8]


def flat(level: int | tuple[int, int, int], size: tuple[int, int] = (480, 640)) -> Picture:
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = level
    return picture


def noise(level: float, sigma: float, size: tuple[int, int] = (480, 640)) -> Picture:
    return np.clip(np.random.default_rng(0).normal(level, sigma, (*size, 3)), 0, 255).astype(np.uint8)


def as_jpeg(picture: Picture, quality: int) -> Picture:
    return np.asarray(
        cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR), np.uint8
    )


def with_clock(picture: Picture) -> Picture:
    """What a camera writes into its picture: the time above, its name below."""
    height, width = picture.shape[:2]
    size, colour = height / 480, (255, 255, 255) if picture.mean() < 200 else (0, 0, 0)
    for text, place in (("2026-11-28 17:00:00", (10, 30)), ("CAM 1", (round(width / size) - 100, 460))):
        where = (int(place[0] * size), int(place[1] * size))
        cv2.putText(picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.8 * size, colour, max(1, int(2 * size)))
    return picture


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("quality", [None, 90, 60])
@pytest.mark.parametrize("clock", [False, True])
def test_one_colour_is_seen_through_compression_and_text(
    size: tuple[int, int], quality: int | None, clock: bool
) -> None:
    for level, word in ((0, "black"), (16, "black"), (128, "uniform: gray 128"), (255, "white"), ((0, 135, 0), "RGB")):
        picture = flat(level, size)
        if clock:
            with_clock(picture)
        reason = dead(picture if quality is None else as_jpeg(picture, quality))
        assert word in (reason or ""), (level, reason)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("clock", [False, True])
def test_a_white_picture_with_nothing_but_noise_is_white(sigma: float, clock: bool) -> None:
    picture = noise(254, sigma)
    if clock:
        with_clock(picture)
    assert "white" in (dead(picture) or "")
    picture[200:220, 300:330] = 200  # 0.3 % of it: something lies there
    assert dead(picture) is None


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("level", [0, 2, 8])
@pytest.mark.parametrize("quality", [None, 80, 40])
def test_a_sensor_without_light_is_black_though_no_pixel_repeats(level: int, sigma: float, quality: int | None) -> None:
    picture = with_clock(noise(level, sigma))
    assert (dead(picture if quality is None else as_jpeg(picture, quality)) or "").startswith("black")


def test_hot_pixels_are_no_picture() -> None:
    picture, random = noise(2, 1.5), np.random.default_rng(1)
    picture[random.integers(0, 480, 60), random.integers(0, 640, 60)] = 200
    assert (dead(picture) or "").startswith("black")


def test_light_that_leaks_under_a_cap_is_no_picture() -> None:
    ramp = np.linspace(3, 25, 640)[None, :, None]
    picture = np.clip(ramp + np.random.default_rng(2).normal(0, 1.5, (480, 640, 3)), 0, 255).astype(np.uint8)
    assert (dead(picture) or "").startswith("covered")


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_a_board_at_night_is_a_picture(board: object) -> None:
    picture = cv2.imread(str(board)).astype(np.float32)
    for brightest in (255, 60, 24, 12):
        dark = picture * (brightest / 255) + np.random.default_rng(3).normal(0, 1.5, picture.shape)
        assert dead(as_jpeg(np.clip(dark, 0, 255).astype(np.uint8), 85)) is None, brightest


def test_a_plain_sheet_is_a_picture() -> None:
    rows, columns = np.mgrid[:480, :640]
    falloff = 1 - 0.05 * (((rows - 240) / 240) ** 2 + ((columns - 320) / 320) ** 2) / 2
    for level in (60, 128, 220):
        sheet = level * falloff[..., None] + np.random.default_rng(4).normal(0, 1, (480, 640, 3))
        assert dead(np.clip(sheet, 0, 255).astype(np.uint8)) is None


def test_a_small_part_on_a_lit_table_is_a_picture() -> None:
    table = flat(255)
    table[230:250, 310:330] = 40
    assert dead(table) is None


def test_a_part_that_comes_in_is_a_picture() -> None:
    table = flat(255)
    table[-20:, 100:300] = 40
    assert dead(table) is None


def test_a_lamp_in_the_night_is_a_picture() -> None:
    night = noise(2, 1.5)
    cv2.circle(night, (320, 240), 12, (90, 120, 140), -1)
    assert dead(night) is None


def test_fine_lines_that_a_sample_would_miss_are_a_picture() -> None:
    lines = flat(0, (512, 512))
    lines[1::2] = 255
    assert dead(lines) is None


@pytest.mark.parametrize("size", [(1, 1), (4, 7), (16, 16)], ids=str)
def test_the_smallest_picture_has_an_answer(size: tuple[int, int]) -> None:
    assert (dead(flat(0, size)) or "").startswith("black")
    assert dead(np.random.default_rng(5).integers(0, 256, (*size, 3), np.uint8)) is None or size == (1, 1)
