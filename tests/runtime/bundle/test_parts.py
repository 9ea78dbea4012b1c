from __future__ import annotations

import pytest

from edge_runtime.bundle.parts import row_parts
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Masks, Points, Postprocess


@pytest.mark.parametrize(
    ("post", "shape", "axis"),
    [
        (Detect("detect", "yolo"), (1, 84, 8400), 1),
        (Detect("detect", "yolo", axis="channels-last"), (1, 8400, 84), 2),
        (Detect("detect", "yolo-objectness"), (1, 25200, 85), 2),
    ],
)
def test_boxes_and_scores_are_told_apart_along_the_axis_that_the_reader_takes(
    post: Postprocess, shape: tuple[int, ...], axis: int
) -> None:
    assert row_parts(post, shape) == (axis, {"boxes": [0, 1, 2, 3], "scores": list(range(4, shape[axis]))})


@pytest.mark.parametrize(
    ("post", "shape"),
    [
        (Detect("detect", "yolo"), (1, 4, 8400)),
        (Detect("detect", "yolo", masks=Masks("proto")), (1, 36, 8400)),
        (Detect("detect", "final"), (1, 100, 6)),
        (Detect("detect", "distances", outputs=("scores", "boxes"), bins=8), (1, 1600, 80)),
        (Classify(), (1, 10, 10)),
        (None, (1, 84, 8400)),
    ],
)
def test_any_other_output_is_a_single_part(post: Postprocess | None, shape: tuple[int, ...]) -> None:
    assert row_parts(post, shape) is None


def test_distances_are_boxes_wherever_they_lie() -> None:
    assert row_parts(Detect("detect", "distances", axis="channels-last", bins=8), (1, 3598, 35)) == (
        2,
        {"scores": [0, 1, 2], "boxes": list(range(3, 35))},
    )


def test_angles_points_and_masks_do_not_drown_the_scores() -> None:
    assert row_parts(Detect(angle="radians"), (1, 7, 8400)) == (
        1,
        {"boxes": [0, 1, 2, 3], "scores": [4, 5], "angles": [6]},
    )
    assert row_parts(Detect(points=Points(2)), (1, 11, 8400)) == (
        1,
        {"boxes": [0, 1, 2, 3], "scores": [4], "points": [5, 6, 8, 9], "point scores": [7, 10]},
    )
    assert row_parts(Detect(masks=Masks("proto", count=3)), (1, 9, 8400)) == (
        1,
        {"boxes": [0, 1, 2, 3], "scores": [4, 5], "masks": [6, 7, 8]},
    )
    turned = Detect(columns=("classes", "box"))
    assert row_parts(turned, (1, 6, 8400)) == (1, {"scores": [0, 1], "boxes": [2, 3, 4, 5]})
