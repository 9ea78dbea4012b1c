from __future__ import annotations

import pytest

from edge_runtime.bundle.parts import box_axis
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess


@pytest.mark.parametrize(
    ("post", "shape", "axis"),
    [
        (Detect("detect", "yolo"), (1, 84, 8400), 1),
        (Detect("detect", "yolo", axis="channels-last"), (1, 8400, 84), 2),
        (Detect("detect", "yolo-objectness"), (1, 25200, 85), 2),
        (Detect("detect", "yolo"), (1, 4, 8400), None),
        (Detect("detect", "final"), (1, 100, 6), None),
        (Classify(), (1, 10, 10), None),
        (None, (1, 84, 8400), None),
    ],
)
def test_boxes_and_scores_are_told_apart_along_the_axis_that_the_reader_takes(
    post: Postprocess | None, shape: tuple[int, ...], axis: int | None
) -> None:
    assert box_axis(post, shape) == axis
