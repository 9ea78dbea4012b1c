"""The inputs and answers that travel with a bundle."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import BundleError
from edge_runtime.verify import golden
from edge_runtime.verify.golden import (
    MAX_REFERENCES,
    MAX_VALUES,
    decode_feeds,
    encode_image,
    load_golden,
    read_golden,
    sampled_within,
)
from edge_runtime.verify.picture_size import picture_size

IMAGE = np.full((8, 8, 3), 77, np.uint8)
ARRAYS = {"image_00": encode_image(IMAGE), "output_y": np.zeros((1, 5), np.float32)}


@pytest.mark.parametrize(("batch", "count"), [("batch", 1), (1, 1), (4, 4)])
def test_an_image_fills_every_place_of_a_fixed_batch(batch: int | str, count: int) -> None:
    (sample,) = read_golden(ARRAYS, TensorSpec("x", "float32", (batch, 3, 8, 8)), Preprocess(8, 8))
    assert sample.feeds["x"].shape == (count, 3, 8, 8)


def test_arrays_are_read_back_equal(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "golden.npz", **ARRAYS)
    found = load_golden(tmp_path / "golden.npz")
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in found)


def test_what_fp32_answers_and_an_answer_means_come_with_their_sample() -> None:
    more = {
        "reference_y": np.ones((1, 2), np.float32),
        "within_y": np.array([1, 4], np.uint16),
        "answer_00": np.ones(1),
    }
    (sample,) = read_golden({**ARRAYS, **more}, TensorSpec("x", "float32", (1, 3, 8, 8)), Preprocess(8, 8))
    assert sample.reference["y"].tolist() == [1.0, 1.0]
    assert sample.within["y"].tolist() == [1, 4]
    assert sample.answer is not None
    (old,) = read_golden(ARRAYS, TensorSpec("x", "float32", (1, 3, 8, 8)), Preprocess(8, 8))
    assert (old.reference, old.within, old.answer) == ({}, {}, None)


def test_the_values_with_fp32s_beside_are_a_few_and_the_same_ones_each_time() -> None:
    assert sampled_within(5).tolist() == [0, 1, 2, 3, 4]
    chosen = sampled_within(MAX_VALUES)
    assert len(set(chosen.tolist())) == MAX_REFERENCES
    assert np.array_equal(chosen, sampled_within(MAX_VALUES))
    assert chosen.max() < MAX_VALUES


@pytest.mark.parametrize(
    "wrong",
    [
        {"output_y": np.float32(1)},
        {"within_y": np.array(["a"])},
        {"within_y": np.zeros((1, 2), np.int64)},
        {"reference_y": np.array(["a"])},
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(wrong: dict[str, NDArray[Any]]) -> None:
    arrays = {**ARRAYS, **{name: np.asarray(values) for name, values in wrong.items()}}
    with pytest.raises(BundleError, match=r"golden\.npz holds"):
        list(read_golden(arrays, TensorSpec("x", "float32", (1, 3, 8, 8)), Preprocess(8, 8)))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros(0, np.uint8), "no JPEG or PNG"),
        (np.zeros((3, 3), np.float32), "no JPEG or PNG"),
        (np.frombuffer(b"\xff\xd8\xff\xe0", np.uint8), "no JPEG or PNG"),
        (encode_image(np.zeros((9, 8, 3), np.uint8)), "an image of 8x9"),
        (encode_image(np.zeros((8, 8, 3), np.uint8))[:40], "cannot be decoded"),
    ],
)
def test_a_picture_that_is_none_or_of_another_size_is_refused(picture: NDArray[Any], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        decode_feeds(picture, Preprocess(8, 8))


def test_a_picture_of_gigabytes_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (32767).to_bytes(4, "big") * 2
    with pytest.raises(BundleError, match="an image of 32767x32767, expected one of 8x8"):
        decode_feeds(np.frombuffer(header, np.uint8), Preprocess(8, 8))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([".png", ".jpg"]))
def test_the_size_in_the_header_is_the_pictures(width: int, height: int, suffix: str) -> None:
    encoded = golden.cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8))[1].tobytes()
    assert picture_size(encoded) == (width, height)


@given(st.binary(max_size=60))
def test_any_bytes_have_a_size_or_none(data: bytes) -> None:
    for start in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        picture_size(start + data)


def test_samples_are_parsed_only_where_they_have_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, **ARRAYS)
    assert load_golden(path, hashlib.sha256(path.read_bytes()).hexdigest()).keys() == ARRAYS.keys()
    monkeypatch.setattr(golden.np, "load", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(BundleError, match="SHA-256 is not the manifest's"):
        load_golden(path, "0" * 64)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "_MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "golden.npz", a=np.zeros(600_000, np.uint8), b=np.zeros(600_000, np.uint8))
    with pytest.raises(BundleError, match="unpacks to 2 arrays of 12"):
        load_golden(tmp_path / "golden.npz")


def test_an_array_header_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }"
    header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    with zipfile.ZipFile(tmp_path / "golden.npz", "w") as archive:
        archive.writestr("a.npy", header)
    with pytest.raises(BundleError, match="no readable"):
        load_golden(tmp_path / "golden.npz")


def test_what_an_archive_says_of_itself_is_told_in_part(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, **ARRAYS)
    data = bytearray(path.read_bytes())
    data[26:28] = (50_000).to_bytes(2, "little")  # how long the first name is, in its own header
    path.write_bytes(data + bytes(60_000) if len(data) < 60_000 else data)
    with pytest.raises(BundleError, match=r"no readable \.npz") as refused:
        load_golden(path)
    assert len(str(refused.value)) < 1000


def test_pickles_and_missing_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "golden.npz", a=np.array([{}], object))
    for name in ("golden.npz", "nothing.npz"):
        with pytest.raises(BundleError, match=r"no readable \.npz"):
            load_golden(tmp_path / name)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_gives_arrays_or_a_bundle_error(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, **ARRAYS)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with contextlib.suppress(BundleError):  # anything else is a bug
        load_golden(path)
