"""Samples that precision is chosen on gave no range."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_export.evaluate.data.calibration import ImageCalibration, RandomCalibration
from edge_export.evaluate.data.holdout import MOST_HELD_OUT, TOO_FEW, hold_out, with_holdout
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.vision.preprocess import Preprocessor

SPEC = TensorSpec("x", "float32", (1, 3, 8, 8))


def images(count):
    paths = tuple(Path(f"{index}.png") for index in range(count))
    return ImageCalibration(paths, SPEC, Preprocessor(Preprocess(8, 8)), f"{count} images", ())


@given(st.integers(1, 400), st.integers(0, 200))
def test_no_sample_is_used_for_both_and_none_is_lost(total, samples):
    opened = min(total, with_holdout(samples)) if samples else total
    calibration, held = hold_out(images(opened), samples)
    if opened <= TOO_FEW:
        assert calibration.paths == held.paths
        return
    assert not set(calibration.paths) & set(held.paths)
    assert len(calibration) + len(held) == opened
    assert 1 <= len(held) <= MOST_HELD_OUT
    assert not samples or len(calibration) <= samples


def test_the_wished_number_is_left_for_calibration_where_there_are_enough():
    calibration, held = hold_out(images(with_holdout(64)), 64)
    assert (len(calibration), len(held)) == (64, 16)


def test_a_small_set_gives_up_a_quarter():
    calibration, held = hold_out(images(32), 64)
    assert (len(calibration), len(held)) == (24, 8)
    assert "8 of them held back" in calibration.description


def test_noise_is_made_anew():
    calibration, held = hold_out(RandomCalibration((SPEC,), seed=3), 8)
    assert held.seed != calibration.seed


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_set_too_small_to_part_serves_both(count):
    calibration, held = hold_out(images(count), 64)
    assert len(calibration) == len(held) == count
