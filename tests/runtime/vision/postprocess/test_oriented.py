"""Turned boxes: overlap against the area of polygons, suppression, and the way back to the original image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.results import OrientedBox
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import oriented as oriented_module
from edge_runtime.vision.postprocess.boxes import iou
from edge_runtime.vision.postprocess.oriented import (
    corners_of,
    nms_oriented,
    oriented,
    oriented_iou,
    oriented_to_original,
    probiou,
    upright,
)

Doubles = NDArray[np.float64]

ROWS = st.builds(
    lambda x, y, w, h, angle: np.array([x, y, w, h, angle]),
    st.floats(-20, 20),
    st.floats(-20, 20),
    st.floats(1, 30),
    st.floats(1, 30),
    st.floats(-7, 7),
)


def inside(row: Doubles, x: Doubles, y: Doubles) -> NDArray[np.bool_]:
    """Which of the points lie in a turned box: they are turned back about its centre."""
    dx, dy = x - row[0], y - row[1]
    cos, sin = math.cos(row[4]), math.sin(row[4])
    along, across = dx * cos + dy * sin, -dx * sin + dy * cos
    return np.asarray((abs(along) <= row[2] / 2) & (abs(across) <= row[3] / 2))


def counted_iou(one: Doubles, other: Doubles, side: int = 400) -> float:
    """Intersection over union: how many points of a fine grid in the first box lie in the other."""
    steps = (np.arange(side) + 0.5) / side - 0.5
    along, across = np.meshgrid(steps * one[2], steps * one[3])
    cos, sin = math.cos(one[4]), math.sin(one[4])
    shared = inside(other, one[0] + along * cos - across * sin, one[1] + along * sin + across * cos)
    area = shared.mean() * one[2] * one[3]
    return float(area / (one[2] * one[3] + other[2] * other[3] - area))


@settings(max_examples=40)
@given(ROWS, ROWS)
def test_the_overlap_of_turned_boxes_is_the_area_that_both_cover(one: Doubles, other: Doubles) -> None:
    assert oriented_iou(one, other[None])[0] == pytest.approx(counted_iou(one, other), abs=0.02)
    assert oriented_iou(one, other[None])[0] == pytest.approx(oriented_iou(other, one[None])[0], abs=1e-6)
    assert oriented_iou(one, one[None])[0] == pytest.approx(1.0)


@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_boxes_that_are_not_turned_overlap_as_upright_ones(rows: list[Doubles]) -> None:
    flat = np.array(rows) * [1, 1, 1, 1, 0]
    boxes = upright(flat).astype(np.float32)
    np.testing.assert_allclose(oriented_iou(flat[0], flat), iou(boxes[0], boxes), atol=1e-4)
    np.testing.assert_allclose(oriented(boxes, np.zeros(len(flat), np.float32)), flat, atol=1e-4)


def test_an_empty_box_overlaps_nothing() -> None:
    empty = np.array([[5, 5, 0, 0, 0.3]])
    assert oriented_iou(empty[0], np.array([[5, 5, 4, 4, 0], [5, 5, 0, 0, 0]])).tolist() == [0, 0]
    assert probiou(empty.astype(np.float32), empty.astype(np.float32)).max() <= 1.0


def plain_probiou(one: Doubles, other: Doubles, eps: float = 1e-7) -> float:
    """arXiv 2106.06072, equations 3 to 11, written out for one pair."""
    matrices = []
    for _, _, w, h, angle in (one, other):
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrices.append(turn @ np.diag([w * w / 12, h * h / 12]) @ turn.T)
    both = matrices[0] + matrices[1]
    between = one[:2] - other[:2]
    first = between @ np.linalg.inv(both) @ between / 4
    root = math.sqrt(np.linalg.det(matrices[0]) * np.linalg.det(matrices[1]))
    second = 0.5 * math.log(np.linalg.det(both) / (4 * root + eps) + eps)
    return 1 - math.sqrt(1 - math.exp(-min(max(first + second, eps), 100)) + eps)


@given(ROWS, st.lists(ROWS, min_size=1, max_size=5))
def test_likeness_for_suppression_is_the_published_formula(one: Doubles, others: list[Doubles]) -> None:
    (found,) = probiou(one[None].astype(np.float32), np.array(others, np.float32))
    np.testing.assert_allclose(found, [plain_probiou(one, other) for other in others], atol=2e-3)


@settings(max_examples=30)
@given(st.lists(ROWS, min_size=1, max_size=12), st.booleans())
def test_suppression_of_turned_boxes_equals_the_definition_written_out(rows: list[Doubles], agnostic: bool) -> None:
    count = len(rows)
    boxes = np.array(rows, np.float32)
    scores = (np.arange(count)[::-1] / count).astype(np.float32)
    classes = np.arange(count) % 2
    likeness = probiou(boxes, boxes)
    # Whether it was kept itself does not matter: Ultralytics' rule.
    kept = [
        index
        for index in range(count)
        if not any((agnostic or classes[k] == classes[index]) and likeness[k, index] >= 0.3 for k in range(index))
    ]
    assert nms_oriented(boxes, scores, classes, 0.3, agnostic).tolist() == kept


def test_a_strip_ends_nowhere_that_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    rows = np.concatenate([random.uniform(0, 100, (150, 2)), random.uniform(5, 30, (150, 3))], axis=1)
    args = rows.astype(np.float32), random.random(150).astype(np.float32), random.integers(0, 3, 150), 0.3
    whole = nms_oriented(*args)
    monkeypatch.setattr(oriented_module, "_STRIP", 7)
    assert nms_oriented(*args).tolist() == whole.tolist()
    assert 5 < len(whole) < 150


def farthest(corners: Doubles, others: Doubles) -> float:
    """How far the corners of a box lie from the nearest of another's, whichever is told first."""
    return float(np.hypot(*(corners[:, None] - others[None]).transpose(2, 0, 1)).min(axis=1).max())


@given(ROWS, st.floats(0.1, 4), st.floats(-30, 30), st.floats(-30, 30))
def test_a_turned_box_comes_back_through_a_letterbox(row: Doubles, scale: float, left: float, top: float) -> None:
    place = Placement(640, 480, 64, 64, scale, scale, left, top)
    given_row = row * [scale, scale, scale, scale, 1] + [left, top, 0, 0, 0]
    found = oriented_to_original(given_row[None].astype(np.float32), place)
    assert farthest(corners_of(found)[0], corners_of(row[None])[0]) < 1e-2
    assert 0 <= found[0, 4] <= math.pi / 2


@given(ROWS, st.floats(0.2, 4), st.floats(0.2, 4))
def test_a_stretched_box_comes_back_as_the_smallest_rectangle_around_it(row: Doubles, sx: float, sy: float) -> None:
    place = Placement(640, 480, 64, 64, sx, sy, 3.0, -5.0)
    (found,) = oriented_to_original(row[None].astype(np.float32), place)
    corners = (corners_of(row[None])[0] - [3.0, -5.0]) / [sx, sy]
    _, size, _ = cv2.minAreaRect(corners.astype(np.float32))
    assert found[2] * found[3] == pytest.approx(size[0] * size[1], rel=1e-3, abs=1e-2)
    grown = found * [1, 1, 1.001, 1.001, 1] + [0, 0, 1e-2, 1e-2, 0]
    assert inside(grown, corners[:, 0], corners[:, 1]).all()


def test_the_angle_is_clockwise_in_the_picture_and_kept_where_it_is_small() -> None:
    place = Placement(640, 480, 640, 480, 1.0, 1.0, 0.0, 0.0)
    (found,) = oriented_to_original(np.array([[100, 50, 40, 20, 0.5]], np.float32), place).tolist()
    assert found == pytest.approx([100, 50, 40, 20, 0.5], abs=1e-5)
    corners = OrientedBox(*found).corners()
    np.testing.assert_allclose(corners, corners_of(np.array([found]))[0], atol=1e-9)
    # The upper right corner of the box has gone down, with y pointing down.
    assert corners[1][1] > 50 - 10
    # Ultralytics' form: an edge in 0..pi/2.
    (found,) = oriented_to_original(np.array([[100, 50, 40, 20, -0.5]], np.float32), place).tolist()
    assert found == pytest.approx([100, 50, 20, 40, math.pi / 2 - 0.5], abs=1e-5)
