"""Key points of detected objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Points
from edge_runtime.errors import EngineError
from edge_runtime.results import Point
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.candidates import Question, input_size
from edge_runtime.vision.postprocess.tensors import activate

__all__ = ["points_of", "points_of_rows", "points_to_original"]

Floats = NDArray[np.float32]


def points_of(ask: Question, spec: Points, values: Floats) -> Floats:
    """Rows of `count` times x y, or x y confidence, as points in input pixels [K, count, 3]."""
    found = np.ones((len(values), spec.count, 3), np.float32)
    found[:, :, : spec.values] = values.reshape(-1, spec.count, spec.values)
    if ask.spec.normalized:
        found[:, :, :2] *= input_size(ask)[:2]
    if spec.values == 3:
        # Some write flags of visibility, 0 to 2: what is above 1 is as sure.
        found[:, :, 2] = activate(found[:, :, 2], spec.activation, axis=0).clip(0, 1)
    return found


def points_of_rows(ask: Question, spec: Points, output: Floats, rows: NDArray[np.int64]) -> Floats:
    """The points of `rows` out of an output of their own: [K, count * values], so transposed, or [K, count, values]."""
    width = spec.count * spec.values
    if output.ndim == 3:
        output = output.reshape(len(output), -1)
    if output.ndim == 2 and output.shape[1] != width == output.shape[0]:
        output = output.T
    if output.ndim != 2 or output.shape[1] != width or output.shape[0] <= rows.max(initial=-1):
        raise EngineError(
            f"expected key points [N, K, {width}] in output {spec.output!r}, found {['N', *output.shape]}; "
            f"export again with the right number of points"
        )
    return points_of(ask, spec, output[rows])


def points_to_original(points: Floats, place: Placement) -> list[tuple[Point, ...]]:
    """Carry points [K, P, 3] back to original pixels; those beyond the picture's edge end on it, as boxes do."""
    scale = np.array([place.scale_x, place.scale_y], np.float32)
    offset = np.array([place.offset_x, place.offset_y], np.float32)
    limit = np.array([place.width, place.height], np.float32)
    where = np.clip((points[:, :, :2] - offset) / scale, 0, limit)
    found = np.concatenate([where, points[:, :, 2:]], axis=2)
    return [tuple(Point(*point) for point in row) for row in found.tolist()]
