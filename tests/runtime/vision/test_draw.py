"""Annotated pictures."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.inspect.fake_engine import fake_ng, fake_ok
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result
from edge_runtime.vision.draw import class_colour, draw, verdict_colour

WHITE = np.full((200, 300, 3), 255, np.uint8)


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour)).all(axis=2).any())


def is_like(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """But for the soft edges of lines."""
    return bool(np.abs(pixel.astype(int) - colour).max() < 40)


def test_the_strip_has_the_verdict_s_colour_and_hides_no_pixel() -> None:
    picture = draw(WHITE, fake_ok())
    strip = picture.shape[0] - WHITE.shape[0]
    assert strip > 0
    assert tuple(picture[0, -1]) == verdict_colour("OK")
    assert (picture[strip:] == WHITE).all()


def test_the_image_given_is_not_drawn_upon() -> None:
    before = WHITE.copy()
    draw(WHITE, fake_ng())
    assert (before == WHITE).all()


def test_a_box_is_drawn_in_its_class_s_colour() -> None:
    result = Result("NG", (), (Prediction("short", 1, 0.9, Box(100, 100, 150, 160)),))
    assert has_colour(draw(WHITE, result)[100:], class_colour(1))


def test_a_whole_image_class_is_written_on_the_image() -> None:
    assert has_colour(draw(WHITE, Result("OK", (), (Prediction("cat", 3, 0.9),)))[30:], class_colour(3))


def test_a_mask_tints_only_reported_classes() -> None:
    mask = np.zeros(WHITE.shape[:2], np.uint8)
    mask[:, :100], mask[:, 200:] = 1, 2
    result = Result("NG", (), (Prediction("rust", 1, 0.9, area=0.3),), mask=mask)
    last = draw(WHITE, result)[-1]
    assert (last[50] != 255).any()
    assert (last[250] == 255).all()


def test_a_mask_of_an_object_tints_its_pixels_and_has_a_line_around_it() -> None:
    inside = np.zeros((80, 100), np.bool_)
    inside[10:70, 10:90] = True
    seen = Prediction("a", 1, 0.9, Box(100, 60, 200, 140), mask=Mask(100, 60, inside))
    picture = draw(WHITE, Result("NG", (), (seen,)))[-200:]
    middle, outside = picture[100, 150], picture[65, 150]
    assert (middle != 255).any()
    assert (outside == 255).all()
    assert is_like(picture[70, 150], class_colour(1))


def test_key_points_that_are_seen_are_connected() -> None:
    points = (Point(50, 50, 0.9), Point(150, 50, 0.9), Point(150, 150, 0.1))
    seen = Prediction("a", 2, 0.9, Box(20, 20, 280, 180), points=points)
    edges = ((0, 1), (1, 2))
    picture = draw(WHITE, Result("NG", (), (seen,), edges=edges))[-200:]
    assert is_like(picture[50, 100], class_colour(2))
    assert is_like(picture[50, 150], class_colour(2))
    assert (picture[100:160, 145:155] == 255).all()


def test_a_turned_box_is_drawn_as_it_lies() -> None:
    turned = OrientedBox(150, 100, 100, 40, np.pi / 4)
    seen = Prediction("a", 0, 0.9, Box(100, 51, 200, 149), oriented=turned)
    picture = draw(WHITE, Result("NG", (), (seen,)))[-200:]
    for (x1, y1), (x2, y2) in itertools.pairwise(turned.corners()):
        x, y = round((x1 + x2) / 2), round((y1 + y2) / 2)
        assert has_colour(picture[y - 2 : y + 3, x - 2 : x + 3], class_colour(0))
    assert (picture[140:, 102:110] == 255).all()  # a corner of the upright box


def test_an_anomaly_map_glows_where_it_is_high() -> None:
    mask = np.zeros(WHITE.shape[:2], np.uint8)
    mask[150:, 250:] = 255
    picture = draw(WHITE, Result("NG", (), (), score=0.9, mask=mask))
    assert (picture[-1, 0] == 255).all()
    assert (picture[-1, -1] != 255).any()


def test_neighbouring_classes_differ_and_all_are_defined() -> None:
    colours = [class_colour(number) for number in range(21)]
    assert len(set(colours)) == 21
    assert class_colour(10_000) in colours


@settings(max_examples=30)
@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.tuples(*[st.floats(-200, 300) for _ in range(4)]),
    st.text(max_size=30),
)
def test_no_box_or_name_breaks_the_picture(height: int, width: int, corners: tuple[float, ...], name: str) -> None:
    x1, y1, x2, y2 = corners
    box = Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    image = np.zeros((height, width, 3), np.uint8)
    picture = draw(image, Result("NG", (name,), (Prediction(name, 0, 0.5, box),)))
    assert picture.shape[1] == width
    assert picture.dtype == np.uint8
