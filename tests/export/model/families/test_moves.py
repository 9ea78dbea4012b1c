"""Boxes move along with a picture: that tells y from x, and sizes from edges."""

from __future__ import annotations

import numpy as np
import pytest

from edge_export.model.families.moves import as_moved, order_of, shifted, spoken, step_of
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.vision.postprocess.boxes import corners
from edge_runtime.vision.postprocess.candidates import Candidates

SIDE, STEP = (320, 320), 32
# x1 y1 x2 y2
BOXES = np.array([[40, 60, 100, 90], [150, 100, 190, 220], [120, 200, 240, 260], [200, 30, 230, 90]], np.float32)


def found(boxes, scores=(0.9, 0.8, 0.5, 0.3)):
    return Candidates(np.asarray(boxes, np.float32), np.array(scores, np.float32), np.array([0, 1, 0, 1]))


def written(boxes, order):
    """The four numbers as a model with this order writes them."""
    x1, y1, x2, y2 = boxes.T
    return np.column_stack(
        {
            "xyxy": (x1, y1, x2, y2),
            "yxyx": (y1, x1, y2, x2),
            "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
            "cycxhw": ((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1),
        }[order]
    ).astype(np.float32)


def told(post, order, moves=(1, 1)):
    """What is told of a model that writes boxes in `order`, read with `post`; `moves` of them along each side."""

    def read(boxes):
        return found(corners(written(boxes, order), post.box_order))

    right, down = np.array([STEP, 0] * 2) * moves[0], np.array([0, STEP] * 2) * moves[1]
    seen = [(read(BOXES), read(BOXES + right), SIDE, STEP), (read(BOXES), read(BOXES + down), SIDE, -STEP)]
    return order_of(post, seen)


SPLIT = Detect(format="final-split", box="xyxy", nms=False)


@pytest.mark.parametrize(
    ("box", "written_as", "order"),
    [
        ("xyxy", "xyxy", "read"),
        ("xyxy", "yxyx", "swapped"),
        ("yxyx", "xyxy", "swapped"),
        ("yxyx", "yxyx", "read"),
        ("cxcywh", "cxcywh", "read"),
        ("cxcywh", "cycxhw", "swapped"),
    ],
)
def test_what_goes_with_the_picture_is_an_x(box, written_as, order):
    assert told(Detect(format="final-split", box=box, nms=False), written_as) == order


def test_a_width_stays_where_the_picture_moves():
    boxes = BOXES.copy()
    boxes[:, 2:] = boxes[:, :2] + (30, 50)
    after = boxes.copy()
    after[:, 0] += STEP
    down = boxes.copy()
    down[:, 1] += STEP
    seen = [(found(boxes), found(after), SIDE, STEP), (found(boxes), found(down), SIDE, -STEP)]
    assert order_of(SPLIT, seen) == "sizes"
    assert as_moved(SPLIT, "sizes") is None  # of a corner or of a centre: that is not told


def test_boxes_that_stay_tell_nothing():
    assert told(SPLIT, "xyxy", moves=(0, 0)) == ""
    assert told(SPLIT, "yxyx", moves=(0, 0)) == ""


def test_boxes_everywhere_tell_nothing():
    grid = np.stack(np.meshgrid(np.arange(0, 300, 8), np.arange(0, 300, 8)), axis=-1).reshape(-1, 2)
    everywhere = np.concatenate([grid, grid + 20], axis=1).astype(np.float32)
    many = Candidates(everywhere, np.full(len(everywhere), 0.5, np.float32), np.zeros(len(everywhere), np.int64))
    assert order_of(SPLIT, [(many, many, SIDE, STEP), (many, many, SIDE, -STEP)]) == ""


def test_few_boxes_tell_nothing():
    one = found(BOXES[:1], (0.9,))
    one = Candidates(one.boxes, one.scores, one.classes[:1])
    moved = Candidates(one.boxes + np.array([0, STEP] * 2, np.float32), one.scores, one.classes)
    assert order_of(SPLIT, [(one, moved, SIDE, STEP)]) == ""


def test_what_moves_told_is_read_so():
    assert as_moved(SPLIT, "swapped").box == "yxyx"
    assert as_moved(Detect(format="final", box="xyxy", nms=False), "swapped") == Detect(
        format="final", box="yxyx", nms=False, columns=("box", "score", "class")
    )
    assert as_moved(Detect(format="yolo"), "edges").box == "xyxy"
    assert as_moved(Detect(format="yolo"), "swapped") is None  # no order of the format
    assert spoken("swapped sizes") == "y comes before x and its last two numbers are sizes"


def test_a_moved_picture_is_filled_from_its_edge():
    picture = np.arange(12.0).reshape(1, 1, 3, 4)
    assert shifted(picture, 3, 2)[0, 0].tolist() == [[0, 0, 0, 1], [4, 4, 4, 5], [8, 8, 8, 9]]
    assert shifted(picture, 2, 1)[0, 0, :, 0].tolist() == [0, 0, 4]
    assert [step_of(side) for side in (96, 320, 640, 1280)] == [32, 32, 64, 160]
