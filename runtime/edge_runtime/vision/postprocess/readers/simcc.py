"""Key points of the whole picture, each told by a line of values across the input and one down (SimCC)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.candidates import Candidates, Question, misshaped
from edge_runtime.vision.postprocess.tensors import activate

__all__ = ["simcc"]

Floats = NDArray[np.float32]
# decode_beta * sigma there: a line's softmax is nearly 1 where one place stands out.
_STEEP = np.float32(150.0 * 6.0)


def simcc(ask: Question, tensors: Sequence[Floats]) -> Candidates:
    """One object, or none where its points are less sure than asked for.

    Source: open-mmlab/mmpose, mmpose/codecs/utils/post_processing.py, get_simcc_maximum;
    open-edge-platform/model_api, model_api/models/keypoint_detection.py.
    """
    spec, place = ask.spec.points, ask.place
    if spec is None:
        raise EngineError("format 'simcc' needs the number of its key points; export again with --points")
    sides = (place.input_width, place.input_height)
    for output, (lines, side) in enumerate(zip(tensors, sides, strict=True)):
        if lines.ndim != 2 or len(lines) != spec.count or lines.shape[1] % side or not lines.shape[1]:
            raise misshaped(ask, lines, f"[N, {spec.count}, a multiple of {side}]", output)
    steps = np.array([lines.shape[1] / side for lines, side in zip(tensors, sides, strict=True)], np.float32)
    where = np.stack([lines.argmax(axis=1) for lines in tensors], axis=1) / steps
    seen = np.minimum(tensors[0].max(axis=1), tensors[1].max(axis=1))
    points = np.empty((1, spec.count, 3), np.float32)
    points[0, :, :2] = np.where(seen[:, None] > 0, where, -1 / steps)
    points[0, :, 2] = _sure(tensors, seen, spec.activation)
    score = points[:, :, 2].mean(axis=1)
    kept = np.flatnonzero(score >= np.float32(ask.confidence))
    return Candidates(_picture(place)[kept], score[kept], np.zeros(len(kept), np.int64), points=points[kept])


def _sure(lines: Sequence[Floats], seen: Floats, activation: str) -> Floats:
    """How sure each point is, 0..1."""
    if activation == "softmax":
        highest = [activate(_STEEP * line, "softmax", axis=1).max(axis=1) for line in lines]
        return np.asarray(np.minimum(highest[0], highest[1]), np.float32)
    return activate(seen, "sigmoid" if activation == "sigmoid" else "none", axis=0).clip(0, 1)


def _picture(place: Placement) -> Floats:
    """Where the picture lies in the input, [1, 4]: without a letterbox' bars, and what a crop left of it."""
    start = np.array([place.offset_x, place.offset_y])
    end = start + np.array([place.width * place.scale_x, place.height * place.scale_y])
    sides = np.array([place.input_width, place.input_height])
    return np.concatenate([np.maximum(start, 0), np.minimum(end, sides)])[None].astype(np.float32)
