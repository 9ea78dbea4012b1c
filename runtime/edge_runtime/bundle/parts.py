"""The parts of an output that mean different things: a detector's boxes are hundreds of pixels, and would drown its
scores, which are what breaks first. The certificate and the device tell them apart by this one rule.
"""

from __future__ import annotations

from edge_runtime.bundle.postprocess_spec import Detect, Postprocess

__all__ = ["BOX_VALUES", "box_axis"]

BOX_VALUES = 4  # the first of a row; scores follow
_BOX_FIRST = ("yolo", "yolo-objectness", "grid")


def box_axis(postprocess: Postprocess | None, shape: tuple[int, ...]) -> int | None:
    """Return the axis along which an output of `shape` holds boxes, then scores; None for one that is a single part."""
    if not isinstance(postprocess, Detect) or postprocess.format not in _BOX_FIRST or len(shape) != 3:
        return None
    axis = postprocess.column_axis
    return axis if shape[axis] > BOX_VALUES else None
