"""The parts of an output that mean different things: a detector's boxes are hundreds of pixels, and would drown its
scores, which are what breaks first; so would key points and what masks are made of. The certificate and the device tell
them apart by this one rule.
"""

from __future__ import annotations

from edge_runtime.bundle.postprocess_spec import Column, Detect, Postprocess

__all__ = ["row_parts"]

_ROWS = ("yolo", "yolo-objectness")
_HEADS = ("grid", "distances", "anchors")  # rows too where all strides lie in one output
_NAMES: dict[Column, str] = {"box": "boxes", "angle": "angles", "masks": "masks"}  # "scores" is what is left


def row_parts(postprocess: Postprocess | None, shape: tuple[int, ...]) -> tuple[int, dict[str, list[int]]] | None:
    """Return the axis of an output of `shape` that a row lies along, and where on it each part of the row is, by name.

    None for an output that is a single part.
    """
    if not isinstance(postprocess, Detect) or len(shape) != 3:
        return None
    one = len(postprocess.outputs) < 2 or postprocess.format not in _HEADS
    if postprocess.format not in (*_ROWS, *_HEADS) or not one:
        return None
    axis = postprocess.column_axis
    left = shape[axis] - postprocess.row_values
    if left < 1:
        return None
    parts: dict[str, list[int]] = {}
    at = 0
    for column in postprocess.row:
        values = left if column == "classes" else postprocess.values_of(column)
        for place in range(at, at + values):
            name = _NAMES.get(column, "scores")
            if column == "points" and postprocess.points is not None:
                name = "point scores" if (place - at) % postprocess.points.values == 2 else "points"
            parts.setdefault(name, []).append(place)
        at += values
    return axis, parts
