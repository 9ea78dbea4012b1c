"""Matching and average precision, against pycocotools' frozen numbers and against worked examples."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_export.evaluate.metrics import COCO_THRESHOLDS, Boxes, DetectionData, Objects, collect, ones
from edge_export.evaluate.metrics.boxes import match, overlaps
from edge_export.evaluate.metrics.detection import Interpolation


def boxes(*rows: tuple[float, float, float, float, int, float]) -> Boxes:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


def objects(*rows: tuple[float, float, float, float, int], crowd: tuple[bool, ...] = ()) -> Objects:
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    flags = np.array(crowd or [False] * len(rows), dtype=np.bool_)
    return Objects(table[:, :4], table[:, 4].astype(np.int64), flags)


def scene() -> tuple[list[Boxes], list[Objects]]:
    """Twelve made-up images with near misses, doubles, wrong classes, equal scores and crowd regions."""
    draw = random.Random(7)  # its stream is the same in every Python, unlike numpy's
    found, truth = [], []
    for _ in range(12):
        rows, crowd, answers = [], [], []
        for _ in range(draw.randrange(0, 7)):
            x, y, width, height = (draw.randrange(low, high) for low, high in ((0, 150), (0, 150), (12, 60), (12, 60)))
            kind = draw.randrange(3)
            rows.append((x, y, x + width, y + height, kind))
            crowd.append(draw.random() < 0.15)
            for _ in range(draw.randrange(0, 5)):
                dx, dy, dw, dh = (draw.randrange(-6, 7) for _ in range(4))
                answer = kind if draw.random() < 0.8 else draw.randrange(3)
                score = round(draw.random(), 2)
                answers.append((x + dx, y + dy, x + dx + width + dw, y + dy + height + dh, answer, score))
        found.append(boxes(*answers))
        truth.append(objects(*rows, crowd=tuple(crowd)))
    return found, truth


def data_of(found: list[Boxes], truth: list[Objects]) -> DetectionData:
    return collect(found, truth, COCO_THRESHOLDS)


def test_mean_average_precision_equals_pycocotools() -> None:
    found, truth = scene()
    data = data_of(found, truth)
    weights = ones(len(found))
    # COCOeval.stats[:3] and the per-class AP at IoU 0.5 of pycocotools 2.0 on this very scene.
    expected = [0.1606152948628196, 0.42519251925192514, 0.15486048604860486]
    measured = [data.mean_average_precision(weights, levels) for levels in (range(10), [0], [5])]
    difference = np.abs(np.array(measured) - expected).max()
    assert difference < 1e-12, f"largest difference {difference}"
    assert data.average_precision(weights, 0) == pytest.approx(
        [0.237623762376, 0.623762376238, 0.414191419142], abs=1e-11
    )


def test_counting_every_image_twice_changes_nothing_at_distinct_scores() -> None:
    found = [boxes((0, 0, 10, 10, 0, 0.9), (50, 50, 60, 60, 0, 0.8)), boxes((0, 0, 10, 10, 0, 0.7))]
    truth = [objects((0, 0, 10, 10, 0)), objects((0, 0, 10, 10, 0), (20, 20, 40, 40, 0))]
    data = data_of(found, truth)
    once = data.mean_average_precision(ones(2), [0], "all")
    assert once == pytest.approx(1 / 3 + 2 / 9)  # precision 1 up to recall 1/3, then 2/3 up to recall 2/3
    assert data.mean_average_precision(2 * ones(2), [0], "all") == pytest.approx(once)


def test_the_101_points_of_a_half_found_class_are_51_ones() -> None:
    data = data_of([boxes((0, 0, 10, 10, 0, 0.9))], [objects((0, 0, 10, 10, 0), (20, 20, 40, 40, 0))])
    assert data.mean_average_precision(ones(1), [0]) == pytest.approx(51 / 101)
    assert data.mean_average_precision(ones(1), [0], "all") == pytest.approx(0.5)


def test_an_image_left_out_by_its_weight_does_not_count() -> None:
    found = [boxes((0, 0, 10, 10, 0, 0.9)), boxes((0, 0, 10, 10, 0, 0.95))]
    truth = [objects((0, 0, 10, 10, 0)), objects((30, 30, 40, 40, 1))]
    data = data_of(found, truth)
    assert data.mean_average_precision(np.array([1, 0]), [0]) == 1.0
    assert data.average_precision(np.array([0, 1]), 0).tolist()[1] == 0.0
    assert np.isnan(data.average_precision(np.array([0, 1]), 0)[0])


def test_a_second_box_on_the_same_object_is_a_false_alarm() -> None:
    data = data_of([boxes((0, 0, 10, 10, 0, 0.9), (0, 0, 10, 11, 0, 0.8))], [objects((0, 0, 10, 10, 0))])
    assert data.at_confidence(ones(1), 0, 0.5) == pytest.approx((0.5, 1.0, 2 / 3))
    assert data.at_confidence(ones(1), 0, 0.85) == (1.0, 1.0, 1.0)


def test_boxes_on_a_crowd_region_count_neither_way() -> None:
    truth = objects((0, 0, 100, 100, 0), (200, 200, 220, 220, 0), crowd=(True, False))
    answers = boxes((10, 10, 30, 30, 0, 0.9), (50, 50, 70, 70, 0, 0.8), (200, 200, 220, 220, 0, 0.7))
    data = data_of([answers], [truth])
    assert data.mean_average_precision(ones(1), [0]) == 1.0
    assert data.at_confidence(ones(1), 0, 0.0) == (1.0, 1.0, 1.0)


def test_a_box_of_another_class_matches_nothing() -> None:
    found = match(boxes((0, 0, 10, 10, 1, 0.9)), objects((0, 0, 10, 10, 0)), np.array([0.5]))
    assert not found.hit.any()


def test_without_objects_the_figure_is_not_defined() -> None:
    data = data_of([boxes((0, 0, 10, 10, 0, 0.9))], [objects()])
    assert np.isnan(data.mean_average_precision(ones(1), [0]))
    assert data.at_confidence(ones(1), 0, 0.5)[0] == 0.0
    assert np.isnan(data.at_confidence(ones(1), 0, 0.5)[1])


def test_without_detections_the_figure_is_zero() -> None:
    data = data_of([boxes()], [objects((0, 0, 10, 10, 0))])
    assert data.mean_average_precision(ones(1), [0]) == 0.0
    precision, recall, f1 = data.at_confidence(ones(1), 0, 0.5)
    assert np.isnan(precision)
    assert (recall, f1) == (0.0, 0.0)


def test_overlap_of_a_shifted_square_is_a_third() -> None:
    square = np.array([[0.0, 0.0, 2.0, 2.0]])
    assert overlaps(square, square + np.array([1.0, 0.0, 1.0, 0.0]))[0, 0] == pytest.approx(1 / 3)


_corner = st.integers(0, 30)
_box = st.tuples(_corner, _corner, st.integers(1, 20), st.integers(1, 20), st.integers(0, 2))


@given(st.lists(_box, min_size=1, max_size=6), st.integers(0, 2**16))
def test_perfect_answers_score_one(rows: list[tuple[int, int, int, int, int]], seed: int) -> None:
    unique = {(x, y, w, h): kind for x, y, w, h, kind in rows}
    truth = [(x, y, x + w, y + h, kind) for (x, y, w, h), kind in unique.items()]
    scores = random.Random(seed)
    answers = [(*row, round(0.1 + 0.9 * scores.random(), 3)) for row in truth]
    data = data_of([boxes(*answers)], [objects(*truth)])
    assert data.mean_average_precision(ones(1), range(10)) == 1.0
    assert data.mean_average_precision(ones(1), [0], "all") == pytest.approx(1.0)


_SCENE = data_of(*scene())
_INTERPOLATIONS: tuple[Interpolation, ...] = ("101", "all")


@given(st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_average_precision_stays_between_zero_and_one_for_any_weights(weights: list[int]) -> None:
    for interpolation in _INTERPOLATIONS:
        values = _SCENE.average_precision(np.array(weights), 0, interpolation)
        values = values[~np.isnan(values)]
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
