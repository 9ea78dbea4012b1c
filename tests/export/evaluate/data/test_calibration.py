"""Calibration sets: images, lists, .npz files and noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_export.evaluate.data import RandomCalibration, open_calibration
from edge_export.evaluate.data.images import spread
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError, UsageError
from edge_runtime.vision.preprocess import Preprocessor

IMAGE_INPUT = (TensorSpec("images", "float32", ("batch", 3, 8, 8)),)
SPEC = Preprocess(width=8, height=8)


def picture(path: Path, shade: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((12, 16, 3), shade, dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(20):
        picture(tmp_path / "photos" / f"part{index // 10}" / f"{index:02}.png", index * 10)
    return tmp_path / "photos"


def test_samples_of_a_folder_equal_the_device_preprocessing(folder: Path) -> None:
    samples = open_calibration(folder, IMAGE_INPUT, SPEC, limit=0, seed=0)
    assert len(samples) == 20
    image = cv2.imread(str(folder / "part0" / "00.png"))
    assert image is not None
    expected, _ = Preprocessor(SPEC).batch([np.asarray(image, dtype=np.uint8)])
    first = next(iter(samples))
    assert list(first) == ["images"]
    assert np.array_equal(first["images"], expected)


def test_a_set_can_be_iterated_again_and_gives_the_same(folder: Path) -> None:
    samples = open_calibration(folder, IMAGE_INPUT, SPEC, limit=4, seed=1)
    once, again = list(samples), list(samples)
    assert len(once) == len(samples) == 4
    assert all(np.array_equal(a["images"], b["images"]) for a, b in zip(once, again, strict=True))


def test_the_description_says_how_many_of_how_many(folder: Path) -> None:
    samples = open_calibration(folder, IMAGE_INPUT, SPEC, limit=4, seed=1)
    assert samples.description.endswith("photos: 4 of 20 images, seed 1")


def test_unreadable_images_are_counted_and_replaced(folder: Path) -> None:
    for index in range(20):
        if index != 3:
            (folder / f"part{index // 10}" / f"{index:02}.png").write_bytes(b"not an image")
    samples = open_calibration(folder, IMAGE_INPUT, SPEC, limit=1, seed=0)
    assert len(samples) == len(list(samples)) == 1
    assert "of 20 images cannot be read" in samples.notes[0] if samples.notes else samples.notes == ()
    everything = open_calibration(folder, IMAGE_INPUT, SPEC, limit=0, seed=0)
    assert len(everything) == 1
    assert everything.notes[0].startswith("19 of 20 images cannot be read, skipped: 00.png")


def test_a_folder_of_unreadable_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of the 2 images"):
        open_calibration(tmp_path, IMAGE_INPUT, SPEC, limit=0, seed=0)


def test_a_folder_without_images_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.jpeg, \.jpg"):
        open_calibration(tmp_path, IMAGE_INPUT, SPEC, limit=0, seed=0)


def test_a_text_list_may_carry_labels_behind_the_names(folder: Path) -> None:
    listed = folder / "set.txt"
    listed.write_text("part0/00.png, 7\n# a comment\n\npart1/11.png\npart1/12.png label.txt\n")
    samples = open_calibration(listed, IMAGE_INPUT, SPEC, limit=0, seed=0)
    assert len(samples) == 3
    listed.write_text("part0/00.png\nhello\n")
    with pytest.raises(DataError, match=r"set\.txt:2"):
        open_calibration(listed, IMAGE_INPUT, SPEC, limit=0, seed=0)


def test_images_for_a_model_with_two_inputs_are_refused(folder: Path) -> None:
    two = (*IMAGE_INPUT, TensorSpec("state", "float32", (1, 4)))
    with pytest.raises(UsageError, match=r"2 inputs .*\.npz"):
        open_calibration(folder, two, SPEC, limit=0, seed=0)


def test_images_without_preprocessing_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="--size"):
        open_calibration(folder, IMAGE_INPUT, None, limit=0, seed=0)


def test_preprocessing_that_does_not_fit_the_input_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"\[N, 3, 9, 9\]"):
        open_calibration(folder, IMAGE_INPUT, Preprocess(width=9, height=9), limit=0, seed=0)


def test_a_fixed_batch_is_filled_with_the_same_image(folder: Path) -> None:
    spec = (TensorSpec("images", "float32", (3, 3, 8, 8)),)
    sample = next(iter(open_calibration(folder, spec, SPEC, limit=1, seed=0)))
    assert sample["images"].shape == (3, 3, 8, 8)


def test_an_npz_gives_its_samples_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    signal, state = np.arange(20, dtype=np.float32).reshape(5, 4), np.ones((5, 2, 1, 3), np.float32)
    rate = np.full(5, 16000, np.int64)
    inputs = (
        TensorSpec("signal", "float32", ("n", 4)),
        TensorSpec("state", "float32", (2, "n", 3)),
        TensorSpec("sr", "int64", ()),
    )
    for save in (np.savez, np.savez_compressed):
        save(path, signal=signal, state=state, sr=rate)
        samples = open_calibration(path, inputs, None, limit=0, seed=0)
        listed = list(samples)
        assert len(samples) == len(listed) == 5
        assert np.array_equal(listed[3]["signal"], signal[3:4])
        assert listed[3]["state"].shape == (2, 1, 3)
        assert listed[3]["sr"].shape == ()
        assert listed[3]["sr"].item() == 16000


def test_a_subset_of_an_npz_holds_samples_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    values = np.arange(100, dtype=np.float32).reshape(100, 1)
    np.savez(path, x=values)
    samples = open_calibration(path, (TensorSpec("x", "float32", ("n", 1)),), None, limit=10, seed=5)
    seen = [float(np.asarray(sample["x"], np.float32)[0, 0]) for sample in samples]
    assert len(seen) == 10
    assert all(10 * index <= value < 10 * (index + 1) for index, value in enumerate(seen))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 5), np.float32), "takes float32"),
        (np.zeros((2, 4), np.float64), "use astype"),
        (np.zeros((0, 4), np.float32), "no samples"),
        (np.asfortranarray(np.zeros((2, 4), np.float32)), "Fortran"),
        (np.array([{}] * 4, dtype=object).reshape(1, 4), "Python objects"),
    ],
)
def test_arrays_that_do_not_fit_the_input_are_refused(
    tmp_path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], message: str
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=array)
    with pytest.raises(DataError, match=message):
        open_calibration(path, (TensorSpec("x", "float32", ("n", 4)),), None, limit=0, seed=0)


def test_a_missing_array_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, y=np.zeros((2, 4), np.float32))
    with pytest.raises(DataError, match="no array for input 'x', it has y"):
        open_calibration(path, (TensorSpec("x", "float32", ("n", 4)),), None, limit=0, seed=0)


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((2, 4), np.float32), y=np.zeros((3, 4), np.float32))
    inputs = (TensorSpec("x", "float32", ("n", 4)), TensorSpec("y", "float32", ("n", 4)))
    with pytest.raises(DataError, match="different numbers"):
        open_calibration(path, inputs, None, limit=0, seed=0)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.arange(4000, dtype=np.float32).reshape(-1, 4))
    inputs = (TensorSpec("x", "float32", ("n", 4)),)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot read"):
        open_calibration(path, inputs, None, limit=0, seed=0)
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(DataError, match="cannot read"):
        list(open_calibration(path, inputs, None, limit=0, seed=0))


def test_noise_fills_every_input_and_says_that_it_is_noise() -> None:
    inputs = (
        TensorSpec("a", "float32", ("n", 3, "w")),
        TensorSpec("b", "uint8", (2,)),
        TensorSpec("c", "bool", ()),
    )
    samples = RandomCalibration(inputs, seed=3, count=2, dimensions={"w": 5})
    first, second = list(samples)
    assert first["a"].shape == (1, 3, 5)
    assert first["b"].dtype == np.uint8
    assert first["c"].shape == ()
    assert not np.array_equal(first["a"], second["a"])
    assert np.array_equal(first["a"], next(iter(samples))["a"])
    assert samples.description == "random noise: 2 samples, seed 3"
    assert "noise" in samples.notes[0]


@given(st.integers(1, 500), st.integers(0, 600), st.integers(0, 9))
def test_the_choice_is_ascending_distinct_and_spread(count: int, limit: int, seed: int) -> None:
    chosen = spread(count, limit, seed)
    assert len(chosen) == (limit if 0 < limit < count else count)
    assert chosen == sorted(set(chosen))
    assert all(0 <= index < count for index in chosen)
    gaps = np.diff([0, *chosen, count])
    assert gaps.max() <= 2 * -(-count // len(chosen))
