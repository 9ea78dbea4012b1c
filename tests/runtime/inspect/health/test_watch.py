"""What a source's pictures are refused for: repeated for too long, or unlike the good ones that limits come from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from places import ROOT

from edge_runtime.errors import DataError, UsageError
from edge_runtime.inspect.health.learn import FEWEST, learn
from edge_runtime.inspect.health.limits import Limits, read_limits, write_limits
from edge_runtime.inspect.health.watch import Watch

Picture = NDArray[np.uint8]


def scene(number: int, moved: float = 0.0) -> Picture:
    """A fixed scene, one of its parts turned otherwise each time, with noise of its own."""
    picture = np.full((240, 320, 3), 90, np.uint8)
    random = np.random.default_rng(0)
    for _ in range(60):
        x, y = (int(value) for value in random.integers(0, 300, 2))
        side, level = int(random.integers(8, 30)), int(random.integers(20, 230))
        cv2.rectangle(picture, (x, y), (x + side, y + side), (level, level, level), -1)
    cv2.line(picture, (160, 120), (160 + 3 * (number % 7), 150), (240, 240, 240), 3)
    if moved:
        shift = np.array([[1, 0, moved * 320], [0, 1, 0]], np.float32)
        picture = cv2.warpAffine(picture, shift, (320, 240), borderMode=cv2.BORDER_REPLICATE)
    noisy = picture + np.random.default_rng(number + 1).normal(0, 1, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


LIMITS = learn(scene(number) for number in range(20))


def as_bytes(picture: NDArray[np.floating] | Picture) -> Picture:
    return np.clip(picture, 0, 255).astype(np.uint8)


def half(picture: Picture) -> Picture:
    covered = picture.copy()
    covered[:, :160] = 30
    return covered


def test_good_pictures_that_were_not_learnt_from_are_good() -> None:
    watch = Watch(LIMITS)
    assert {watch.finding(scene(number), 0.0) for number in range(20, 60)} == {None}


@pytest.mark.parametrize(
    ("word", "damage"),
    [
        ("out of focus", lambda picture: cv2.GaussianBlur(picture, (0, 0), 2)),
        ("out of focus", lambda picture: cv2.blur(picture, (15, 15))),
        ("under-exposed", lambda picture: picture // 3),
        ("over-exposed", lambda picture: as_bytes(picture * 2.5)),
        ("over-exposed or veiled", lambda picture: as_bytes(picture * 0.3 + 160)),
        ("covered", half),
        ("shifted", lambda picture: np.roll(picture, 24, axis=1)),
    ],
)
def test_damage_to_the_optics_is_named(word: str, damage: Callable[[Picture], Picture]) -> None:
    assert (Watch(LIMITS).finding(damage(scene(30)), 0.0) or "").startswith(word)


def test_a_scene_that_moves_has_no_place_to_be_shifted_from() -> None:
    limits = learn(scene(number, moved=0.02 * (number % 9)) for number in range(20))
    assert limits.place is None
    assert Watch(limits).finding(scene(30, moved=0.05), 0.0) is None


def test_boards_that_all_differ_are_told_from_soft_dark_and_covered_ones() -> None:
    boards = [cv2.imread(str(path)) for path in sorted((ROOT / "samples/pcb/images").glob("*.png"))]
    watch = Watch(learn(boards))
    for board in boards:
        assert watch.finding(board, 0.0) is None
        assert "focus" in (watch.finding(cv2.GaussianBlur(board, (0, 0), 2), 0.0) or "")
        assert "exposed" in (watch.finding(board // 2, 0.0) or "")


def test_limits_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_limits(tmp_path / "limits.json", LIMITS)
    assert read_limits(tmp_path / "limits.json") == LIMITS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("sharpness"),
        lambda data: data.update(colour=1),
        lambda data: data.update(schema=2),
        lambda data: data.update(darkest=300.0),
        lambda data: data.update(odd_cells=-1),
        lambda data: data["levels_least"].pop(),
        lambda data: data["place"].update(view="AAAA"),
        lambda data: data["place"].update(view="?"),
        lambda data: data["place"].update(shift=0.0),
    ],
)
def test_a_file_that_holds_no_limits_is_a_sentence(
    tmp_path: Path, spoil: Callable[[dict[str, object]], object]
) -> None:
    path = tmp_path / "limits.json"
    write_limits(path, LIMITS)
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="holds no limits"):
        read_limits(path)


def test_a_file_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the limits"):
        read_limits(tmp_path / "none.json")


def test_too_few_good_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="at least"):
        learn(scene(number) for number in range(FEWEST - 1))


def test_a_dead_picture_among_the_good_ones_is_refused() -> None:
    with pytest.raises(DataError, match="picture 5 of the good ones shows nothing: black"):
        learn([*(scene(number) for number in range(5)), np.zeros((240, 320, 3), np.uint8)])


def test_the_same_pixels_are_frozen_after_the_time_that_was_given() -> None:
    watch, picture = Watch(frozen_seconds=30), scene(0)
    found = [watch.finding(picture, 1000.0 + second) for second in range(0, 40, 5)]
    assert found[:6] == [None] * 6
    assert found[6:] == ["frozen: the same picture for 30 s", "frozen: the same picture for 35 s"]
    assert watch.finding(scene(1), 1041.0) is None
    assert watch.finding(picture, 1042.0) is None


def test_one_pixel_between_the_rows_that_are_looked_at_first_ends_the_count() -> None:
    watch, picture = Watch(frozen_seconds=10, compressed=False), scene(0)
    changed = picture.copy()
    changed[7, 9, 1] ^= 1
    for second, shown in enumerate([picture, picture, changed, changed, picture] * 5):
        assert watch.finding(shown, float(second)) is None


def test_what_a_codec_makes_of_a_still_picture_is_the_same_picture() -> None:
    watch, picture = Watch(frozen_seconds=10), scene(0)
    shown = [
        picture,
        np.where(picture % 5 == 0, picture + 1, picture),
        np.where(picture % 4 == 0, picture - 2, picture),
    ]
    found = [watch.finding(shown[second % 3], float(second)) for second in range(12)]
    assert found[9:] == [None, "frozen: the same picture for 10 s", "frozen: the same picture for 11 s"]


def test_noise_and_small_movements_are_not_frozen() -> None:
    watch = Watch(frozen_seconds=3)
    for second in range(20):
        assert watch.finding(scene(7 * second), float(second)) is None
    still = scene(0)
    for second in range(20, 40):
        moved = still.copy()
        moved[100:106, 10 * (second - 20) : 10 * (second - 20) + 6] = 255
        assert watch.finding(moved, float(second)) is None


def test_a_still_scene_is_no_fault_where_nobody_asked() -> None:
    watch, picture = Watch(), scene(0)
    assert {watch.finding(picture, float(second)) for second in range(0, 4000, 100)} == {None}


def test_limits_are_for_what_can_be_seen_at_all() -> None:
    assert (Watch(LIMITS).finding(np.full((240, 320, 3), 128, np.uint8), 0.0) or "").startswith("uniform")


def test_the_sentence_says_what_was_learnt() -> None:
    assert "20 pictures" in LIMITS.line()
    assert "shift" in LIMITS.line()
    assert "the scene moves" in dataclasses.replace(LIMITS, place=None).line()
    assert isinstance(LIMITS, Limits)
