"""Objects on seams: one object is one, two are two."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction
from edge_runtime.station.view.seams import joined
from edge_runtime.station.view.tiling import Rect, tiles_of

REGION = Rect(0, 0, 400, 300)
TILES = tiles_of(REGION, (160, 160), 40)


def box(*sides, confidence=0.9, class_id=0, **more):
    return Prediction(f"c{class_id}", class_id, confidence, Box(*map(float, sides)), **more)


def seen_by_tiles(objects, jitter=0.0, random=None):
    """What a perfect model says of each tile: each object's part in it, where that is 4 pixels wide and high."""
    found = []
    for tile in TILES:
        own = []
        for one in objects:
            x1, y1 = max(one.box.x1, tile.left), max(one.box.y1, tile.top)
            x2, y2 = min(one.box.x2, tile.right), min(one.box.y2, tile.bottom)
            if x2 - x1 >= 4 and y2 - y1 >= 4:
                moved = [value + (random.uniform(-jitter, jitter) if random else 0) for value in (x1, y1, x2, y2)]
                own.append(Prediction(one.name, one.class_id, one.confidence, Box(*moved)))
        found.append((tile, own))
    return found


@st.composite
def scenes(draw):
    """Objects of any size that do not overlap: each has a cell of a coarse grid, and some have several."""
    objects = []
    for row in range(3):
        column = 0
        while column < 4:
            wide = draw(st.integers(1, 4 - column))
            if draw(st.booleans()):
                left, top = column * 100 + draw(st.integers(4, 20)), row * 100 + draw(st.integers(4, 20))
                right = (column + wide) * 100 - draw(st.integers(4, 60))
                bottom = (row + 1) * 100 - draw(st.integers(4, 60))
                objects.append(box(left, top, right, bottom, class_id=draw(st.integers(0, 1))))
            column += wide
    return objects


def far(one, other):
    return max(abs(mine - its) for mine, its in zip(vars(one).values(), vars(other).values(), strict=True))


def places(predictions):
    return sorted((one.class_id, *(round(v, 6) for v in vars(one.box).values())) for one in predictions)


@given(scenes())
def test_every_object_comes_out_once_and_as_large_as_it_is(objects):
    assert places(joined(seen_by_tiles(objects), REGION)) == places(objects)


@settings(max_examples=50)
@given(scenes(), st.randoms(use_true_random=False))
def test_boxes_that_are_a_little_off_are_joined_all_the_same(objects, random):
    found = joined(seen_by_tiles(objects, 1.5, random), REGION)
    assert len(found) == len(objects)
    for one in objects:
        assert any(far(one.box, other.box) <= 2 for other in found if other.class_id == one.class_id)


@given(scenes(), st.randoms(use_true_random=False))
def test_joining_again_changes_nothing_and_the_order_of_tiles_does_not_matter(objects, random):
    seen = seen_by_tiles(objects)
    once = joined(seen, REGION)
    assert joined([(REGION, once)], REGION) == once
    shuffled = random.sample(seen, len(seen))
    assert places(joined(shuffled, REGION)) == places(once)


def test_a_sliver_behind_a_seam_is_no_second_object_where_both_tiles_are_a_pixel_off():
    tiles = [Rect(0, 0, 160, 160), Rect(0, 70, 160, 230)]
    seen = [(tiles[0], [box(2.6, 5.4, 97.2, 73.7)]), (tiles[1], [box(5.0, 71.3, 95.1, 76.2)])]  # it ends at 75
    (one,) = joined(seen, Rect(0, 0, 160, 230))
    assert one.box == Box(2.6, 5.4, 97.2, 73.7)


def test_two_halves_that_plain_suppression_would_keep_are_one_object():
    tiles = [Rect(0, 0, 160, 160), Rect(120, 0, 280, 160)]
    halves = [(tiles[0], [box(20, 50, 160, 60, confidence=0.6)]), (tiles[1], [box(120, 51, 270, 61, confidence=0.8)])]
    (one,) = joined(halves, Rect(0, 0, 280, 160))
    assert (one.box, one.confidence) == (Box(20.0, 50.0, 270.0, 61.0), 0.8)


def test_neighbours_of_one_class_and_things_of_two_classes_stay_apart():
    tiles = [Rect(0, 0, 160, 160), Rect(120, 0, 280, 160)]
    both = [box(125, 40, 150, 60), box(125, 63, 150, 83), box(126, 41, 150, 60, class_id=1)]
    assert len(joined([(tiles[0], both), (tiles[1], both)], Rect(0, 0, 280, 160))) == 3


def test_what_one_tile_saw_whole_counts_as_it_saw_it():
    tiles = [Rect(0, 0, 160, 160), Rect(120, 0, 280, 160)]
    whole = box(100, 50, 150, 80, confidence=0.5, points=(Point(110, 60, 0.4),))
    piece = box(120, 50, 152, 80, confidence=0.7, points=(Point(125, 60, 0.9),))
    (one,) = joined([(tiles[0], [whole]), (tiles[1], [piece])], Rect(0, 0, 280, 160))
    assert (one.box, one.points, one.confidence) == (whole.box, whole.points, 0.7)


def test_masks_points_and_turned_boxes_of_halves_become_one():
    tiles = [Rect(0, 0, 160, 160), Rect(120, 0, 280, 160)]
    left = box(
        20,
        50,
        160,
        60,
        area=1400 / 44800,
        mask=Mask(20, 50, np.ones((10, 140), np.bool_)),
        points=(Point(30, 55, 0.9), Point(155, 55, 0.1)),
        oriented=OrientedBox(90, 55, 140, 10, 0.0),
    )
    right = box(
        120,
        50,
        270,
        60,
        area=1500 / 44800,
        mask=Mask(120, 50, np.ones((10, 150), np.bool_)),
        points=(Point(125, 55, 0.1), Point(260, 55, 0.8)),
        oriented=OrientedBox(195, 55, 150, 10, 0.0),
    )
    (one,) = joined([(tiles[0], [left]), (tiles[1], [right])], Rect(0, 0, 280, 160))
    assert (one.mask.left, one.mask.top, one.mask.inside.shape) == (20, 50, (10, 250))
    assert one.mask.inside.all()
    assert math.isclose(one.area, 2500 / 44800)
    assert [(point.x, point.confidence) for point in one.points] == [(30, 0.9), (260, 0.8)]
    assert (one.oriented.x, one.oriented.width, one.oriented.height) == (145.0, 250.0, 10.0)


def test_halves_of_what_crosses_a_seam_aslant_are_one_though_their_boxes_hardly_meet():
    tiles = [Rect(0, 0, 160, 160), Rect(120, 0, 280, 160)]
    (one,) = joined([(tiles[0], [box(20, 16, 160, 103)]), (tiles[1], [box(120, 75, 270, 162)])], Rect(0, 0, 280, 160))
    assert one.box == Box(20.0, 16.0, 270.0, 162.0)


def test_turned_halves_keep_their_angle():
    angle = math.pi / 6
    cos, sin = math.cos(angle), math.sin(angle)

    def part(start, end):
        middle = (start + end) / 2
        turned = OrientedBox(20 + middle * cos, 20 + middle * sin, end - start, 8.0, angle)
        xs, ys = zip(*turned.corners(), strict=True)
        return box(min(xs), min(ys), max(xs), max(ys), oriented=turned)

    tiles = [Rect(0, 0, 160, 160), Rect(120, 0, 280, 160)]
    parts = [(tiles[0], [part(0, 158)]), (tiles[1], [part(118, 270)])]
    (one,) = joined(parts, Rect(0, 0, 280, 160))
    assert math.isclose(one.oriented.angle, angle)
    assert math.isclose(one.oriented.width, 270)
    assert math.isclose(one.oriented.height, 8)
