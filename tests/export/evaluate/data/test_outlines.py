"""Outlines as pixels by COCO's rule: against pycocotools' frozen masks."""

from __future__ import annotations

import numpy as np
import pytest

from edge_export.evaluate.data.outlines import Outline, Polygons, Runs, corners_of, decode_runs, mask_of
from edge_runtime.results import OrientedBox

WIDTH, HEIGHT = 40, 20
# pycocotools 2.0.11: frPyObjects of the polygons at 20 x 40.
ONE = ([[10.5, 3, 30, 8.2, 25, 19.7, 12, 15]], "o68<4M0O00010O000010O0001O010OO1M4M2N2MS6", 200)
TWO = (
    [[2, 2, 9, 2, 9, 17, 2, 17], [20, 1, 39, 10, 20, 19.4]],
    "Z1?500000000000k63SIO0O2O0O2O0O2O0O101N101N101N101N10o0",
    281,
)


def whole(outline: Outline) -> np.ndarray:
    mask = mask_of(outline, HEIGHT, WIDTH)
    drawn = np.zeros((HEIGHT, WIDTH), np.bool_)
    height, width = mask.inside.shape
    drawn[mask.top : mask.top + height, mask.left : mask.left + width] = mask.inside
    return drawn


def polygons(rings: list[list[float]]) -> Polygons:
    return Polygons(tuple(np.array(ring).reshape(-1, 2) for ring in rings))


@pytest.mark.parametrize(("rings", "text", "area"), [ONE, TWO])
def test_polygons_and_compressed_runs_give_pycocotools_pixels(rings: list[list[float]], text: str, area: int) -> None:
    runs = Runs(decode_runs(text), HEIGHT, WIDTH)
    assert runs.counts.sum() == WIDTH * HEIGHT
    drawn = whole(polygons(rings))
    assert drawn.sum() == area
    assert (drawn == whole(runs)).all()


def test_a_polygon_that_reaches_out_of_the_image_is_cut_off_there() -> None:
    assert whole(polygons([[-20, -20, 60, -20, 60, 60, -20, 60]])).all()


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="runs are of 40x20 pixels, the image has 20x20"):
        mask_of(Runs(np.array([800]), HEIGHT, WIDTH), 20, 20)


@pytest.mark.parametrize("text", ["\x7f0", "o68<4M0O0P", "ü", "```````````````"])
def test_other_text_is_no_runs(text: str) -> None:
    with pytest.raises(ValueError, match="runs"):
        decode_runs(text)


def test_four_convex_corners_are_a_turned_box_as_they_stand() -> None:
    corners = np.array(OrientedBox(20, 10, 12, 6, 0.4).corners())
    assert (corners_of(Polygons((corners,))) == corners).all()
    assert corners_of(Polygons((corners / 10,)), (10.0, 10.0)) == pytest.approx(corners)


def test_of_any_other_outline_the_smallest_rectangle_is_the_turned_box() -> None:
    diamond = np.array([[10, 0], [15, 5], [20, 10], [10, 20], [0, 10]], np.float64)
    found = {tuple(np.round(corner).tolist()) for corner in corners_of(Polygons((diamond,)))}
    assert found == {(10.0, 0.0), (20.0, 10.0), (10.0, 20.0), (0.0, 10.0)}
    assert (corners_of(Polygons(())) == 0).all()
