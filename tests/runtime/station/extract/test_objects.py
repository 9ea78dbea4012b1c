import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_runtime.inspect.record import ModelIdentity, make_record
from edge_runtime.inspect.rle import compressed, mask_of, run_lengths
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result
from edge_runtime.station.extract.classes import classes_of
from edge_runtime.station.extract.objects import Kept, annotation, yolo_line

IMAGE = np.zeros((40, 80, 3), np.uint8)
WHOLE, HALF = Kept(80, 40, (80, 40)), Kept(80, 40, (160, 80))


def told(prediction, **frame):
    record = make_record(
        Frame("a", 0, "a", IMAGE, **frame), Result("NG", (), (prediction,)), ModelIdentity("m", "1", "0", "x")
    )
    return record["predictions"][0]


BOX = Prediction("hole", 2, 0.75, Box(8.0, 4.0, 24.0, 20.0))


def test_a_box_in_both_words():
    assert annotation(told(BOX), WHOLE) == {
        "bbox": [8, 4, 16, 16], "area": 256, "iscrowd": 0, "score": 0.75,
    }  # fmt: skip
    assert yolo_line(told(BOX), WHOLE, 2) == "2 0.200000 0.300000 0.200000 0.400000"


def test_a_picture_that_was_decoded_smaller_has_labels_of_its_own_size():
    found = told(BOX, size=(80, 160))
    assert found["box"]["x2"] == 48
    assert annotation(found, HALF) == annotation(told(BOX), WHOLE)
    assert yolo_line(found, HALF, 2) == yolo_line(told(BOX), WHOLE, 2)


def test_a_turned_box_has_its_corners():
    turned = dataclasses.replace(BOX, oriented=OrientedBox(16.0, 12.0, 10.0, 4.0, math.pi / 2))
    assert annotation(told(turned), WHOLE)["segmentation"] == [[18, 7, 18, 17, 14, 17, 14, 7]]
    assert len(yolo_line(told(turned), WHOLE, 2).split()) == 9


def test_key_points_that_are_not_seen_are_nowhere():
    points = dataclasses.replace(BOX, points=(Point(10, 8, 0.9), Point(70, 30, 0.1)))
    found = annotation(told(points), WHOLE)
    assert (found["keypoints"], found["num_keypoints"]) == ([10, 8, 2, 0, 0, 0], 1)
    assert yolo_line(told(points), WHOLE, 2).split()[5:] == ["0.125000", "0.200000", "2", "0.000000", "0.000000", "0"]


def test_a_mask_is_run_lengths_or_an_outline():
    masked = dataclasses.replace(BOX, mask=Mask(8, 4, np.ones((16, 16), np.bool_)), area=256 / 3200)
    found = told(masked)
    assert annotation(found, WHOLE)["segmentation"] == found["mask"]
    assert annotation(found, WHOLE)["area"] == 256
    values = [float(word) for word in yolo_line(found, WHOLE, 0).split()[1:]]
    assert min(values[::2]) == pytest.approx(8 / 80)
    assert max(values[::2]) == pytest.approx(23 / 80)


def test_a_class_of_a_whole_picture_is_no_label():
    found = told(Prediction("good", 0, 0.9))
    assert annotation(found, WHOLE) is None
    assert yolo_line(found, WHOLE, 0) is None


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 5), st.integers(0, 5))
def test_run_lengths_are_read_as_they_were_written(inside, left, top):
    height, width = inside.shape[0] + top + 1, inside.shape[1] + left + 2
    text = compressed(run_lengths(Mask(left, top, inside), width, height))
    whole = np.zeros((height, width), np.bool_)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    assert (mask_of(text, height, width).inside == whole).all()
    with pytest.raises(ValueError, match="no run lengths"):
        mask_of(text, height + 1, width)


def test_classes_keep_the_models_numbers_where_all_models_agree():
    assert classes_of([(2, "hole")], []).names == ("class_0", "class_1", "hole")
    assert classes_of([(2, "hole")], [("open", "short", "hole")]).names == ("open", "short", "hole")
    clash = classes_of([(0, "hole"), (0, "open"), (1, "hole")], [])
    assert (clash.names, clash.renumbered) == (("hole", "open"), True)
    assert classes_of([], []).names == ()
