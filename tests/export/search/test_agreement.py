"""A few images prove little: one that changes is no loss, several are."""

import pytest

from edge_export.search.agreement import Agreement


@pytest.mark.parametrize(
    ("lost", "images", "fine"), [(0, 8, True), (1, 8, True), (2, 8, False), (1, 32, True), (3, 32, False)]
)
def test_classes_that_change_are_judged_by_how_likely_bad_luck_is(lost, images, fine):
    assert Agreement("classify", "agreement", 1 - lost / images, images, 1.0).meets(0.01) is fine


def test_no_loss_may_be_allowed():
    assert Agreement("classify", "agreement", 1.0, 8, 1.0).meets(0.0)
    assert not Agreement("classify", "agreement", 0.5, 8, 0.6).meets(0.0)


def test_boxes_and_masks_may_change_a_little_more_and_are_judged_by_their_interval():
    assert Agreement("detect", "box_f1", 0.94, 8, 0.96).meets(0.01)
    assert not Agreement("detect", "box_f1", 0.90, 8, 0.94).meets(0.01)
    assert Agreement("segment", "mask_miou", 0.88, 8, 0.91).meets(0.01)
