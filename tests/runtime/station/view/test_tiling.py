"""Tiles: nothing between them, neighbours share what they should."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.station.view.settings import LEAST_OVERLAP, Tiles, ViewSettings
from edge_runtime.station.view.tiling import Rect, tiles_of
from edge_runtime.station.view.view import _pieces


@st.composite
def partitions(draw):
    left, top = draw(st.integers(0, 500)), draw(st.integers(0, 500))
    region = Rect(left, top, left + draw(st.integers(1, 900)), top + draw(st.integers(1, 900)))
    width, height = draw(st.integers(32, 700)), draw(st.integers(32, 700))
    return region, Tiles(width, height, draw(st.integers(LEAST_OVERLAP, min(width, height) // 2)))


@given(partitions())
def test_tiles_cover_a_region_lie_in_it_and_overlap_as_told(partition):
    region, settings = partition
    tiles = tiles_of(region, settings.size, settings.shared)
    seen = np.zeros((region.height, region.width), np.uint16)
    for tile in tiles:
        assert tile.within(region)
        assert (tile.width, tile.height) == (min(settings.size[0], region.width), min(settings.size[1], region.height))
        seen[tile.top - region.top : tile.bottom - region.top, tile.left - region.left : tile.right - region.left] += 1
    assert seen.all()
    for starts, side in (({t.left for t in tiles}, tiles[0].width), ({t.top for t in tiles}, tiles[0].height)):
        for before, after in itertools.pairwise(sorted(starts)):
            assert before + side - after >= settings.shared
    # One tile less in a row would not do.
    columns = len({tile.left for tile in tiles})
    assert columns == 1 or (columns - 1) * (settings.size[0] - settings.shared) + settings.shared < region.width


@given(partitions())
def test_each_pixel_is_in_the_core_of_one_tile(partition):
    region, settings = partition
    seen = np.zeros((region.bottom, region.right), np.uint16)
    for piece in _pieces(region, ViewSettings(tiles=settings)):
        assert piece.core.within(piece.rect)
        seen[piece.core.top : piece.core.bottom, piece.core.left : piece.core.right] += 1
    assert (seen[region.top :, region.left :] == 1).all()
    assert seen.sum() == region.width * region.height


@pytest.mark.parametrize("settings", [(640, None, 400), (640, 100, 60), (640, None, 8), (20, None, None)])
def test_tiles_that_do_not_get_on_are_refused(settings):
    with pytest.raises(ValueError, match=r"overlap|at least"):
        Tiles(*settings)
