from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edge_runtime.vision.resample import Filter, resample

_PIL = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
kernels = pytest.mark.parametrize("kernel", list(_PIL))
sizes = st.integers(1, 80)


def in_two_steps(image: NDArray[np.uint8], width: int, height: int, kernel: Filter) -> NDArray[np.uint8]:
    """Pillow's result, the horizontal pass first whatever the sizes, as every Pillow before 13 has it."""
    wide = Image.fromarray(image).resize((width, image.shape[0]), _PIL[kernel])
    return np.asarray(wide.resize((width, height), _PIL[kernel]))


@kernels
@settings(max_examples=80)
@given(height=sizes, width=sizes, new_height=sizes, new_width=sizes, seed=st.integers(0, 99), gray=st.booleans())
def test_every_size_equals_pillow_bit_for_bit(
    kernel: Filter, height: int, width: int, new_height: int, new_width: int, seed: int, gray: bool
) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width) if gray else (height, width, 3), dtype=np.uint8)
    if seed % 2:  # hard edges make the negative lobes leave 0..255
        image = np.where(image > 127, 255, 0).astype(np.uint8)
    found = resample(image, new_width, new_height, kernel)
    np.testing.assert_array_equal(found, in_two_steps(image, new_width, new_height, kernel))


@kernels
def test_a_photo_sized_image_equals_pillows_own_resize(kernel: Filter) -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((224, 224), _PIL[kernel]))
    np.testing.assert_array_equal(resample(image, 224, 224, kernel), expected)


def test_an_image_of_the_wanted_size_comes_back_untouched() -> None:
    image = np.zeros((5, 7, 3), np.uint8)
    assert resample(image, 7, 5, "bicubic") is image


def test_a_view_with_odd_strides_equals_its_copy() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    view = image[::-1, ::2, ::-1]
    np.testing.assert_array_equal(
        resample(view, 17, 13, "lanczos"), resample(np.ascontiguousarray(view), 17, 13, "lanczos")
    )
