"""Decoding, suppression and the score, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from places import SHARED_DATA

from pcb.detect import Detections, decode, iou
from pcb.evaluate import average_precision, match, mistakes, score
from pcb.folder import Picture, pictures, read_labels

DEEPPCB = SHARED_DATA / "deeppcb"


def raw_with(column: int, row: int, label: int, logit: float, side: float, columns: int = 4) -> np.ndarray:
    """Raw output [10, 16] that names one box `side` pixels wide about the middle of a cell."""
    raw = np.full((10, columns * columns), -20.0, np.float32)
    point = row * columns + column
    raw[:4, point] = 0.5, 0.5, np.log(side / 8), np.log(side / 8)
    raw[4 + label, point] = logit
    return raw


def found(boxes: list[list[float]], labels: list[int]) -> Detections:
    scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), scores, np.array(labels, np.int64))


def test_a_point_decodes_to_the_box_about_its_cell() -> None:
    got = decode(raw_with(2, 1, 4, 3.0, 16.0), columns=4)
    assert got.labels.tolist() == [4]
    np.testing.assert_allclose(got.boxes[0], [12, 4, 28, 20], atol=1e-4)
    assert got.scores[0] == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_of_two_boxes_of_one_class_in_one_place_the_weaker_goes() -> None:
    raw = np.maximum(raw_with(1, 1, 2, 3.0, 40.0), raw_with(2, 1, 2, 1.0, 40.0))
    assert decode(raw, columns=4).scores.tolist() == pytest.approx([1 / (1 + np.exp(-3.0))])


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    raw = np.maximum(raw_with(1, 1, 2, 3.0, 40.0), raw_with(2, 1, 3, 1.0, 40.0))
    assert decode(raw, columns=4).labels.tolist() == [2, 3]


def test_nothing_is_found_in_silence() -> None:
    assert len(decode(np.full((10, 16), -20.0, np.float32), columns=4).boxes) == 0


def test_iou_of_a_box_with_its_half_is_a_half() -> None:
    one = np.array([[0, 0, 10, 10]], np.float32)
    assert iou(one, np.array([[0, 0, 5, 10], [20, 20, 30, 30]], np.float32)).tolist() == [[0.5, 0.0]]


def test_each_defect_counts_once() -> None:
    truth = Picture(Path("x"), np.array([[0, 0, 30, 30]], np.float32), np.array([1]))
    assert match(found([[0, 0, 30, 30], [1, 1, 30, 30]], [1, 1]), truth).tolist() == [0, -1]


def test_a_detection_of_another_class_is_wrong() -> None:
    truth = Picture(Path("x"), np.array([[0, 0, 30, 30]], np.float32), np.array([1]))
    assert match(found([[0, 0, 30, 30]], [2]), truth).tolist() == [-1]


def test_average_precision_of_a_worked_example() -> None:
    # right, wrong, right of 4 truths: precision 1 up to recall 1/4, then 2/3 up to 1/2
    assert average_precision(np.array([True, False, True]), 4) == pytest.approx(0.25 * (1 + 2 / 3))


def test_finding_everything_scores_one() -> None:
    boxes = [[40.0 * i, 0, 40.0 * i + 30, 30] for i in range(6)]
    truth = [Picture(Path("x"), np.array(boxes, np.float32), np.arange(6))]
    seen = [found(boxes, list(range(6)))]
    assert [s.ap for s in score(seen, truth, 0.4)] == [1.0] * 6
    assert not mistakes(seen, truth, 0.4)["missed"]


def test_a_miss_is_told_from_a_confusion() -> None:
    boxes = [[0, 0, 30, 30], [100, 100, 130, 130]]
    truth = [Picture(Path("x"), np.array(boxes, np.float32), np.array([0, 1]))]
    missed = mistakes([found([[0, 0, 30, 30]], [2])], truth, 0.4)["missed"]
    assert missed == {"open taken for mousebite": 1, "short not seen": 1}


def test_labels_that_are_not_five_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 2 3 4\n")
    with pytest.raises(ValueError, match="five numbers"):
        read_labels(tmp_path / "a.txt")


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trainval\.txt"):
        pictures(tmp_path)


@pytest.mark.skipif(not DEEPPCB.exists(), reason="DeepPCB is not beside the repository (../shared/data/deeppcb)")
def test_deeppcb_is_read_whole() -> None:
    items = pictures(DEEPPCB)
    assert len(items) == 1000
    assert {int(label) for item in items for label in item.labels} == set(range(6))
    assert items[0].grey().shape == (640, 640)
