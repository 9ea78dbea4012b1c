import importlib.util

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import OutputError
from edge_runtime.station import png
from edge_runtime.station.png import encode_png

sizes = st.integers(1, 40)


def read(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(params=["isal", "opencv"])
def either(request, monkeypatch):
    """With ISA-L, and as where it is not installed."""
    if request.param == "opencv":
        monkeypatch.setattr(png, "compress", None)
    elif importlib.util.find_spec("isal") is None:
        pytest.skip("isal is not installed")
    return request.param


@settings(max_examples=60)
@given(sizes, sizes, st.integers(0, 99), st.booleans())
def test_every_pixel_comes_back_as_it_was(height, width, seed, gray):
    image = noise(height, width, seed)
    if gray:
        image[:] = image[:, :, :1]
    assert np.array_equal(read(encode_png(image)), image)


def test_a_gray_picture_is_stored_as_gray(either):
    image = noise(64, 48)
    image[:] = image[:, :, :1]
    stored = cv2.imdecode(np.frombuffer(encode_png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    assert stored.shape == (64, 48)
    assert np.array_equal(read(encode_png(image)), image)


def test_one_coloured_pixel_outside_the_middle_row_is_enough_for_colours(either):
    image = np.full((9, 9, 3), 128, np.uint8)
    image[0, 0] = 1, 2, 3
    assert np.array_equal(read(encode_png(image)), image)


def test_a_view_of_a_larger_picture_and_an_upside_down_one_are_stored(either):
    image = noise(40, 60)
    assert np.array_equal(read(encode_png(image[3:20, 5:31])), image[3:20, 5:31])
    assert np.array_equal(read(encode_png(image[::-1])), image[::-1])


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4), (4, 4, 4)])
def test_what_is_no_picture_is_refused(shape, either):
    with pytest.raises(OutputError, match="expected"):
        encode_png(np.zeros(shape, np.uint8))
