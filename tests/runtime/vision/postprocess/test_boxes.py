from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.boxes import MOST_CANDIDATES, corners, iou, nms, to_original

Floats = NDArray[np.float32]


def some_boxes(seed: int, count: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Crowded boxes on a small canvas, with many equal scores, of three classes."""
    random = np.random.default_rng(seed)
    left_top = random.integers(0, 20, (count, 2))
    boxes = np.concatenate([left_top, left_top + random.integers(0, 15, (count, 2))], axis=1)
    scores = random.integers(0, 8, count) / 8
    return boxes.astype(np.float32), scores.astype(np.float32), random.integers(0, 3, count)


def area_of_overlap(one: Floats, other: Floats) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return float(max(width, 0) * max(height, 0))


def plain_iou(one: Floats, other: Floats) -> float:
    shared = area_of_overlap(one, other)
    union = area_of_overlap(one, one) + area_of_overlap(other, other) - shared
    return shared / union if union else 0.0


def plain_nms(boxes: Floats, scores: Floats, classes: NDArray[np.int64], threshold: float, agnostic: bool) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        rivals = [k for k in kept if agnostic or classes[k] == classes[index]]
        if all(plain_iou(boxes[k], boxes[index]) <= threshold for k in rivals):
            kept.append(index)
    return kept


@settings(max_examples=60)
@given(
    seed=st.integers(0, 9999),
    count=st.integers(0, 40),
    threshold=st.sampled_from([0.0, 0.3, 0.45, 0.7, 1.0]),
    agnostic=st.booleans(),
)
def test_nms_equals_the_definition_written_out(seed: int, count: int, threshold: float, agnostic: bool) -> None:
    boxes, scores, classes = some_boxes(seed, count)
    found = nms(boxes, scores, classes, threshold, agnostic)
    assert found.tolist() == plain_nms(boxes, scores, classes, threshold, agnostic)


def test_nms_keeps_a_box_at_exactly_the_threshold() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 1, 2, 3]], np.float32)  # IoU 2 / 6
    scores, classes = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)
    third = float(iou(boxes[0], boxes[1:])[0])
    assert nms(boxes, scores, classes, third).tolist() == [0, 1]
    assert nms(boxes, scores, classes, third - 1e-3).tolist() == [0]


def test_nms_looks_at_the_best_candidates_only() -> None:
    count = MOST_CANDIDATES + 10
    boxes = np.array([[i * 10, 0, i * 10 + 5, 5] for i in range(count)], np.float32)
    found = nms(boxes, np.linspace(0.1, 0.9, count).astype(np.float32), np.arange(count) % 80, 0.5)
    assert found.tolist() == list(range(count - 1, 9, -1))


def test_every_order_of_coordinates_means_the_same_box() -> None:
    expected = np.array([[1, 2, 5, 10]], np.float32)
    np.testing.assert_array_equal(corners(np.array([[3, 6, 4, 8]], np.float32), "cxcywh"), expected)
    np.testing.assert_array_equal(corners(np.array([[2, 1, 10, 5]], np.float32), "yxyx"), expected)
    np.testing.assert_array_equal(corners(expected, "xyxy"), expected)


def test_boxes_go_back_to_the_original_and_stay_inside() -> None:
    place = Placement(200, 100, 100, 100, 0.5, 0.5, 0.0, 25.0)
    boxes = np.array([[10, 35, 20, 45], [-5, 20, 5, 30], [10, 0, 20, 20]], np.float32)
    found, alive = to_original(boxes, place)
    np.testing.assert_array_equal(found[:2], [[20, 20, 40, 40], [0, 0, 10, 10]])
    assert alive.tolist() == [True, True, False]  # the last one lies in the padding
