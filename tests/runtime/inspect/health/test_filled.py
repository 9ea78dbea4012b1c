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
