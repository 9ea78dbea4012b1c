"""Run lengths of masks, read back by a decoder written out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.inspect.rle import compressed, run_lengths
from edge_runtime.results import Mask


def decompressed(text: str) -> list[int]:
    """cocodataset/cocoapi, common/maskApi.c, rleFrString."""
    lengths: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            letter = ord(text[place]) - 48
            value |= (letter & 0x1F) << shift
            more = bool(letter & 0x20)
            place, shift = place + 1, shift + 5
            if not more and letter & 0x10:
                value |= -1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths


def decoded(lengths: list[int], width: int, height: int) -> NDArray[np.bool_]:
    flat = np.concatenate([np.full(length, bool(number % 2)) for number, length in enumerate(lengths)])
    return np.asarray(flat.reshape(width, height).T)


@given(st.integers(0, 9999), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
def test_run_lengths_give_the_mask_back_within_its_picture(seed: int, width: int, height: int, share: float) -> None:
    random = np.random.default_rng(seed)
    left, top = int(random.integers(0, width)), int(random.integers(0, height))
    across, down = int(random.integers(1, width - left + 1)), int(random.integers(1, height - top + 1))
    inside = random.random((down, across)) < share
    lengths = run_lengths(Mask(left, top, inside), width, height).tolist()
    whole = np.zeros((height, width), np.bool_)
    whole[top : top + down, left : left + across] = inside
    assert np.array_equal(decoded(lengths, width, height), whole)
    # As few runs as there are: none but the first is empty.
    assert all(length > 0 for length in lengths[1:])
    assert decompressed(compressed(np.array(lengths))) == lengths


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_any_lengths_survive_as_text(lengths: list[int]) -> None:
    text = compressed(np.array(lengths))
    assert text.isascii()
    assert text.isprintable()
    assert decompressed(text) == lengths


def test_the_text_is_that_of_pycocotools() -> None:
    # pycocotools.mask.encode of a 4 x 5 picture with rows 1, 2 of columns 1, 2 set
    lengths = run_lengths(Mask(1, 1, np.ones((2, 2), np.bool_)), 5, 4)
    assert lengths.tolist() == [5, 2, 2, 2, 9]
    assert compressed(lengths) == "52207"
