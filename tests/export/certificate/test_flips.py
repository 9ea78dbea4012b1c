"""Images whose answer changed: which count, which are kept, what is drawn."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from certificate_cases import manifest

from edge_export.certificate.flips import MOST, Collector
from edge_runtime.bundle.facts import VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Detect, Masks, Points, Segment
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result

IMAGE = np.full((480, 640, 3), 128, np.uint8)
CLASSIFY = manifest()
DETECT = manifest(postprocess=Detect(), verdict=VerdictRule("any"))
SEGMENT = manifest(postprocess=Segment(), verdict=VerdictRule())
ANOMALY = manifest(postprocess=Anomaly(), verdict=VerdictRule("score"))


def classified(class_id, confidence=0.9, verdict="OK"):
    name = ("good", "bad")[class_id]
    return Result(verdict, (), (Prediction(name, class_id, confidence), Prediction("other", 7, 0.01)))


def boxes(*places, confidence=0.9):
    seen = tuple(Prediction("bad", 1, confidence, Box(x, 10, x + 40, 50)) for x in places)
    return Result("NO_READ", (), seen)


def collected(made, *pairs, image=IMAGE):
    collector = Collector(made)
    for index, (before, after) in enumerate(pairs):
        collector.see(Path(f"folder/{index}.png"), image, before, after)
    return collector.result("photos")


def test_the_same_class_with_another_confidence_is_no_change():
    found = collected(CLASSIFY, (classified(0, 0.9), classified(0, 0.6)))
    assert (found.images, found.changed, found.worst) == (1, 0, ())


def test_another_class_is_a_change_and_says_from_what_to_what():
    found = collected(CLASSIFY, (classified(0, 0.9), classified(1, 0.6, "NG")))
    assert (found.changed, found.verdicts) == (1, 1)
    assert found.worst[0].name == "0.png"
    assert found.worst[0].change == "verdict OK became NG; good (0.90) became bad (0.60)"


def test_boxes_below_the_threshold_do_not_count():
    faint = boxes(100, confidence=0.2)
    assert collected(DETECT, (boxes(), faint)).changed == 0


def test_a_lost_box_counts_and_the_verdict_is_judged_at_the_devices_threshold():
    found = collected(DETECT, (boxes(100), boxes()), (boxes(100, 300), boxes(100)))
    assert (found.changed, found.verdicts) == (2, 1)
    assert found.worst[0].change == "verdict NG became OK; 1 lost: bad (0.90)"
    assert found.worst[1].change == "1 lost: bad (0.90)"


def test_what_one_model_alone_reported_is_ringed():
    both = boxes(100, 400)
    alone = collected(DETECT, (both, boxes(100))).worst[0]
    other = collected(DETECT, (boxes(100, 400, 300), both)).worst[0]
    magenta = [purple(jpeg) for jpeg in (alone.fp32, alone.bundle, other.fp32, other.bundle)]
    assert magenta[0] > 50
    assert magenta[1] == 0
    assert magenta[2] > 50
    assert magenta[3] == 0


def purple(jpeg):
    """Pixels of the ring's colour; JPEG moves colours a little."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    blue, green, red = picture[..., 0], picture[..., 1], picture[..., 2]
    return int(((red - green > 70) & (blue - green > 70)).sum())


def test_masks_that_hardly_overlap_count_and_nearly_equal_ones_do_not():
    mask = np.zeros((480, 640), np.uint8)
    mask[100:300, 100:300] = 1
    moved = np.roll(mask, 100, axis=1)
    rim = mask.copy()
    rim[100, 100:200] = 0
    results = [Result("NO_READ", (), (), mask=one) for one in (mask, moved, rim)]
    found = collected(SEGMENT, (results[0], results[1]), (results[0], results[2]))
    assert (found.images, found.changed) == (2, 1)
    assert "mean IoU" in found.worst[0].change
    assert purple(found.worst[0].fp32) > 1000


def test_a_score_on_the_other_side_of_the_threshold_counts():
    def scored(value):
        mask = np.full((480, 640), int(value * 255), np.uint8)
        return Result("NG" if value >= 0.5 else "OK", (), (), value, mask)

    found = collected(ANOMALY, (scored(0.51), scored(0.49)), (scored(0.9), scored(0.6)))
    assert found.changed == 1
    assert "0.510 became 0.490" in found.worst[0].change


def test_only_the_worst_are_kept_and_they_come_worst_first():
    pairs = [(classified(0, c / 100), classified(1, c / 100)) for c in range(50, 70)]
    found = collected(CLASSIFY, *pairs)
    assert found.changed == 20
    assert len(found.worst) == MOST
    assert [flip.name for flip in found.worst[:2]] == ["19.png", "18.png"]


def test_equal_ones_are_kept_in_the_order_they_were_seen():
    found = collected(CLASSIFY, *[(classified(0), classified(1))] * 12)
    assert [flip.name for flip in found.worst] == [f"{i}.png" for i in range(MOST)]


@pytest.mark.parametrize("shape", [(480, 640, 3), (640, 480, 3), (20, 30, 3), (1, 2000, 3)])
def test_pictures_are_small_jpegs_of_both_answers(shape):
    image = np.full(shape, 128, np.uint8)
    flip = collected(CLASSIFY, (classified(0), classified(1)), image=image).worst[0]
    for jpeg in (flip.fp32, flip.bundle):
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape[1] <= 320
        assert picture.shape[0] <= 320 + 40
    assert shape[0] == 1 or flip.fp32 != flip.bundle


def test_a_model_that_does_not_judge_gets_no_strip():
    unjudged = dataclasses.replace(CLASSIFY, verdict=VerdictRule())
    flip = collected(unjudged, (classified(0), classified(1))).worst[0]
    picture = cv2.imdecode(np.frombuffer(flip.fp32, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (240, 320, 3)


def test_the_callers_image_is_left_alone():
    image = IMAGE.copy()
    collected(DETECT, (boxes(100), boxes()), image=image)
    assert np.array_equal(image, IMAGE)


PARTS = manifest(
    postprocess=Detect(masks=Masks("proto"), points=Points(2), angle="radians"), verdict=VerdictRule("any")
)


def whole(mask=None, points=((110, 20), (130, 40)), angle=0.0):
    inside = np.ones((40, 40), np.bool_) if mask is None else mask
    seen = Prediction(
        "bad",
        1,
        0.9,
        Box(100, 10, 140, 50),
        oriented=OrientedBox(120, 30, 40, 40, angle),
        points=tuple(Point(x, y) for x, y in points),
        mask=Mask(100, 10, inside),
    )
    return Result("NG", (), (seen,))


def test_objects_with_the_same_masks_points_and_turn_are_no_change():
    assert collected(PARTS, (whole(), whole())).changed == 0


def test_another_mask_in_the_same_box_is_a_change_that_is_painted_and_ringed():
    half = np.ones((40, 40), np.bool_)
    half[:, 20:] = False
    found = collected(PARTS, (whole(), whole(mask=half)))
    assert found.changed == 1
    worst = found.worst[0]
    assert worst.change == "bad (0.90) has another mask (IoU 0.50)"
    assert min(purple(worst.fp32), purple(worst.bundle)) > 50


def test_other_points_and_another_turn_in_the_same_box_are_changes():
    moved = collected(PARTS, (whole(), whole(points=((139, 49), (101, 11)))))
    assert moved.worst[0].change.startswith("bad (0.90) has other points (OKS 0.")
    turned = collected(PARTS, (whole(), whole(angle=0.7)))
    assert turned.worst[0].change == "bad (0.90) is turned otherwise (IoU 0.71)"


def test_what_objects_have_is_drawn_as_small_as_the_picture():
    image = np.full((1600, 1600, 3), 128, np.uint8)
    found = collected(PARTS, (whole(), whole(angle=0.7)), image=image)
    assert cv2.imdecode(np.frombuffer(found.worst[0].fp32, np.uint8), 1).shape[1] == 320
