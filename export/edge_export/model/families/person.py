"""The 17 key points of a person in COCO, whose order models of people keep (cocodataset.org, person_keypoints)."""

from __future__ import annotations

from typing import Literal

from edge_runtime.bundle.postprocess_spec import Points

__all__ = ["points_with_names"]

_NAMES = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
# Ultralytics, utils/plotting.py, Annotator.skeleton; there they are counted from 1.
_EDGES = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip


def points_with_names(count: int, values: Literal[2, 3] = 3, output: str = "") -> Points:
    """Key points, with COCO's names and the lines between them where they are as many as a person has there."""
    if count != len(_NAMES):
        return Points(count, values, output)
    return Points(count, values, output, names=_NAMES, edges=_EDGES)
