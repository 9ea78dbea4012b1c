"""Classification, segmentation, fidelity and the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_export.evaluate.metrics import (
    BoxAgreement,
    Boxes,
    SameAnswers,
    SignalNoise,
    TopK,
    box_pairs,
    collect_masks,
    count_mask,
    interval,
    ones,
    rank_of,
    signal_noise,
)


def test_top_k_counts_the_first_k_answers() -> None:
    top = TopK(np.array([0, 4, 5, -1]))
    assert top.accuracy(ones(4), 1) == 0.25
    assert top.accuracy(ones(4), 5) == 0.5
    assert rank_of(7, [3, 7, 1]) == 1
    assert rank_of(9, [3, 7, 1]) == -1


def test_per_class_accuracy_is_of_that_class_alone() -> None:
    assert TopK(np.array([0, 1, 0])).per_class(np.array([5, 5, 8])) == {5: 0.5, 8: 1.0}


def test_a_half_right_mask_has_the_iou_of_its_pixels() -> None:
    true = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    found = np.array([[0, 1, 1, 1]], dtype=np.uint8)
    counts = collect_masks([count_mask(true, found)])
    assert counts.iou(ones(1))[:2] == pytest.approx([1 / 2, 2 / 3])
    assert counts.mean_iou(ones(1)) == pytest.approx(7 / 12)


def test_pixels_marked_255_are_not_judged() -> None:
    true = np.array([[0, 255, 255, 1]], dtype=np.uint8)
    found = np.array([[0, 7, 9, 1]], dtype=np.uint8)
    assert collect_masks([count_mask(true, found)]).mean_iou(ones(1)) == 1.0


def test_masks_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="same size"):
        count_mask(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_noise_of_a_tenth_of_the_signal_is_twenty_decibels() -> None:
    signal, noise, largest = signal_noise(np.full(8, 10.0, np.float32), np.full(8, 11.0, np.float32))
    ratio = SignalNoise(np.array([signal]), np.array([noise]))
    assert ratio.sqnr_db(ones(1)) == pytest.approx(20.0)
    assert largest == 1.0


def test_equal_tensors_have_no_noise_and_bad_ones_nothing_but_noise() -> None:
    reference = np.arange(4, dtype=np.float32)
    equal = SignalNoise(*(np.array([v]) for v in signal_noise(reference, reference)[:2]))
    broken = SignalNoise(*(np.array([v]) for v in signal_noise(reference, reference * np.nan)[:2]))
    assert equal.sqnr_db(ones(1)) == np.inf
    assert broken.sqnr_db(ones(1)) == -np.inf


def test_a_sample_not_drawn_does_not_spoil_the_others() -> None:
    ratio = SignalNoise(np.array([100.0, 1.0]), np.array([1.0, np.inf]))
    assert ratio.sqnr_db(np.array([2, 0])) == pytest.approx(20.0)


def test_integers_are_compared_without_wrapping_around() -> None:
    assert signal_noise(np.array([0], np.uint8), np.array([255], np.uint8))[2] == 255.0


def test_agreement_is_the_share_of_equal_answers() -> None:
    assert SameAnswers(np.array([True, True, False, True])).share(ones(4)) == 0.75


def test_box_agreement_needs_the_same_class_and_half_an_overlap() -> None:
    square = np.array([[0.0, 0.0, 10.0, 10.0]])
    one = Boxes(square, np.array([1]), np.array([0.9]))
    assert box_pairs(one, Boxes(square + 1, np.array([1]), np.array([0.4]))) == (1, 1, 1)
    assert box_pairs(one, Boxes(square, np.array([2]), np.array([0.4]))) == (0, 1, 1)
    assert box_pairs(one, Boxes(square + 9, np.array([1]), np.array([0.4]))) == (0, 1, 1)
    counts = BoxAgreement(np.array([1, 0]), np.array([1, 1]), np.array([1, 0]))
    assert counts.f1(ones(2)) == pytest.approx(2 / 3)


def test_the_interval_holds_the_value_and_repeats_for_a_seed() -> None:
    top = TopK(np.array([0] * 70 + [1] * 30))
    low, high = interval(lambda weights: top.accuracy(weights, 1), 100, seed=3)
    assert (low, high) == interval(lambda weights: top.accuracy(weights, 1), 100, seed=3)
    # A share of 0.7 of 100 has a standard error of 0.046, so the interval is close to 0.7 +- 0.09.
    assert 0.58 < low < 0.64
    assert 0.76 < high < 0.82


def test_a_paired_difference_of_equal_models_is_exactly_zero() -> None:
    top = TopK(np.array([0, 1, 0, 1, 1]))
    low, high = interval(lambda weights: top.accuracy(weights, 1) - top.accuracy(weights, 1), 5)
    assert (low, high) == (0.0, 0.0)


def test_one_image_gives_no_interval() -> None:
    assert all(np.isnan(interval(lambda weights: 1.0, 1)))


@given(st.lists(st.integers(0, 4), min_size=4, max_size=16))
def test_a_mask_agrees_fully_with_itself(values: list[int]) -> None:
    mask = np.array([values], dtype=np.uint8)
    assert collect_masks([count_mask(mask, mask)]).mean_iou(ones(1)) == 1.0
