"""The pixels of objects, against loops over pixels."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Masks
from edge_runtime.errors import EngineError
from edge_runtime.results import Mask
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import masks as masks_module
from edge_runtime.vision.postprocess.masks import check_maps, masks_of

Floats = NDArray[np.float32]

# A letterboxed picture of 60x40 pixels in an input of 48x48, 8 rows of padding above.
LETTERBOX = Placement(60, 40, 48, 48, 0.8, 0.8, 0.0, 8.0)
STRETCHED = Placement(60, 40, 48, 48, 0.8, 1.2, 0.0, 0.0)
SMALL = Placement(7, 5, 48, 48, 48 / 7, 48 / 5, 0.0, 0.0)


def value_at(cells: Floats, u: float, v: float, outside: float | None) -> float:
    """Between the centres of four cells; beyond the map its nearest cell, or `outside`."""

    def cell(row: int, column: int) -> float:
        height, width = cells.shape
        if outside is not None and not (0 <= row < height and 0 <= column < width):
            return outside
        return float(cells[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])

    column, row = math.floor(u), math.floor(v)
    right, down = u - column, v - row
    upper = cell(row, column) * (1 - right) + cell(row, column + 1) * right
    lower = cell(row + 1, column) * (1 - right) + cell(row + 1, column + 1) * right
    return upper * (1 - down) + lower * down


def plain_mask(spec: Masks, cells: Floats, box: tuple[float, ...], place: Placement) -> tuple[int, int, Any, Any]:
    """The values of every pixel whose centre lies in the box, one after another, and which may be inside."""
    x1, x2 = (min(max(math.ceil(edge - 0.5), 0), place.width) for edge in (box[0], box[2]))
    y1, y2 = (min(max(math.ceil(edge - 0.5), 0), place.height) for edge in (box[1], box[3]))
    height, width = cells.shape
    found = np.zeros((y2 - y1, x2 - x1))
    for y in range(y1, y2):
        for x in range(x1, x2):
            if spec.kind == "boxes":
                u = (x + 0.5 - box[0]) / (box[2] - box[0]) * width - 0.5
                v = (y + 0.5 - box[1]) / (box[3] - box[1]) * height - 0.5
            else:
                u = ((x + 0.5) * place.scale_x + place.offset_x) * width / place.input_width - 0.5
                v = ((y + 0.5) * place.scale_y + place.offset_y) * height / place.input_height - 0.5
            found[y - y1, x - x1] = value_at(cells, u, v, 0.0 if spec.kind == "boxes" else None)
    return x1, y1, found > spec.threshold, abs(found - spec.threshold) < 1e-4


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 9999),
    st.sampled_from([LETTERBOX, STRETCHED, SMALL]),
    st.sampled_from(["prototypes", "boxes", "image"]),
    st.tuples(st.floats(-10, 50), st.floats(-10, 30), st.floats(2, 60), st.floats(2, 40)),
)
def test_a_mask_is_what_a_loop_over_the_boxs_pixels_gives(
    seed: int, place: Placement, kind: Literal["prototypes", "boxes", "image"], where: tuple[float, ...]
) -> None:
    x1, y1 = min(where[0], place.width - 1.0), min(where[1], place.height - 1.0)
    box = (x1, y1, max(x1 + where[2], 1.0), max(y1 + where[3], 1.0))
    random = np.random.default_rng(seed)
    maps = random.random((3, 12, 12), np.float32)
    weights = random.random((1, 3), np.float32)
    spec = Masks("m", kind, count=3, activation="none", threshold=0.5)
    cells = np.tensordot(weights[0], maps, 1) if kind == "prototypes" else maps[2]
    which: NDArray[np.generic] = weights if kind == "prototypes" else np.array([2])
    (found,) = masks_of(spec, check_maps(spec, maps), which, np.array([box], np.float32), place)
    assert found is not None
    box = tuple(np.array(box, np.float32).tolist())
    left, top, inside, near = plain_mask(spec, cells, box, place)
    if not inside.size:
        assert found.inside.shape[0] >= 1
        assert found.inside.shape[1] >= 1
        return
    assert (found.left, found.top, found.inside.shape) == (left, top, inside.shape)
    assert not ((found.inside != inside) & ~near).any()


def test_the_logistic_function_changes_no_pixel_of_prototypes_whose_sums_are_enlarged() -> None:
    maps = np.random.default_rng(1).normal(size=(4, 12, 12)).astype(np.float32)
    box, weights = np.array([[5, 5, 55, 35]], np.float32), np.array([[1, -1, 0.5, 2]], np.float32)
    for threshold, level in ((0.5, 0.0), (0.8, math.log(4)), (0.0, -1e9), (1.0, 1e9)):
        logits = Masks("m", count=4, threshold=threshold)
        (found,) = masks_of(logits, maps, weights, box, LETTERBOX)
        cells = np.tensordot(weights[0], maps, 1)
        _, _, inside, _ = plain_mask(Masks("m", activation="none"), cells - level + 0.5, (5, 5, 55, 35), LETTERBOX)
        assert found is not None
        assert (found.inside != inside).mean() < 0.002


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_yolov5_enlarges_what_the_logistic_function_makes_of_the_sums(threshold: float) -> None:
    maps = np.random.default_rng(2).normal(size=(4, 12, 12)).astype(np.float32) * 8
    box, weights = np.array([[5, 5, 55, 35]], np.float32), np.array([[1, -1, 0.5, 2]], np.float32)
    spec = Masks("m", count=4, threshold=threshold, enlarged="scores")
    (found,) = masks_of(spec, maps, weights, box, LETTERBOX)
    scores = 1 / (1 + np.exp(-np.tensordot(weights[0], maps, 1)))
    _, _, inside, near = plain_mask(spec, scores, (5, 5, 55, 35), LETTERBOX)
    assert found is not None
    assert not ((found.inside != inside) & ~near).any()
    # Sums that reach far to both sides give other masks: which of the two is told.
    (sums,) = masks_of(dataclasses.replace(spec, enlarged="sums"), maps, weights, box, LETTERBOX)
    assert sums is not None
    assert (sums.inside != inside).mean() > 0.02


def test_layouts_of_maps_are_told_by_their_shape() -> None:
    prototypes = Masks("m", count=3)
    assert check_maps(prototypes, np.zeros((3, 8, 9))).shape == (3, 8, 9)
    assert check_maps(prototypes, np.zeros((8, 9, 3))).shape == (3, 8, 9)
    assert check_maps(Masks("m", "boxes"), np.zeros((7, 1, 28, 28))).shape == (7, 28, 28)
    for spec, shape in ((prototypes, (4, 8, 8)), (prototypes, (1, 3, 8, 8)), (Masks("m", "image"), (7, 2, 8, 8))):
        with pytest.raises(EngineError, match="expected masks"):
            check_maps(spec, np.zeros(shape))


def test_maps_of_whole_numbers_are_0_and_1_or_0_to_255() -> None:
    place, box = Placement(8, 8, 8, 8, 1.0, 1.0, 0.0, 0.0), np.array([[0, 0, 8, 8]], np.float32)
    spec = Masks("m", "image", activation="none")
    flags = np.zeros((1, 8, 8), np.bool_)
    flags[0, 2:5, 3:6] = True
    for maps in (flags, flags.astype(np.uint8), flags.astype(np.uint8) * 255, flags.astype(np.int64)):
        (found,) = masks_of(spec, maps, np.array([0]), box, place)
        assert found == Mask(0, 0, flags[0])


def test_masks_of_a_picture_are_bounded_and_the_best_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks_module, "MOST_MASK_PIXELS", 1500)
    boxes = np.array([[0, 0, 30, 30], [0, 0, 60, 40], [0, 0, 10, 10]], np.float32)
    spec = Masks("m", "image", activation="none")
    found = list(masks_of(spec, np.ones((3, 4, 4), np.float32), np.arange(3), boxes, LETTERBOX))
    assert [mask is not None for mask in found] == [True, False, False]


def test_a_map_that_is_missing_or_holds_nan_is_an_error() -> None:
    box, spec = np.array([[0, 0, 60, 40]], np.float32), Masks("m", "boxes", activation="none")
    with pytest.raises(EngineError, match="a mask for each of 6 rows"):
        list(masks_of(spec, np.ones((5, 4, 4), np.float32), np.array([5]), box, LETTERBOX))
    with pytest.raises(EngineError, match="NaN"):
        list(masks_of(spec, np.full((1, 4, 4), np.nan, np.float32), np.array([0]), box, LETTERBOX))
