"""The size that a graph of free height and width brings pictures to itself, before it does anything else with them.

anomalib's exporter writes such graphs where no size is given (its pre-processor is in them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.model.pixels_inside import small_constants

__all__ = ["size_inside"]

_MOVES = ("Cast", "Identity", "Reshape")
_MOST_NODES = 16


def size_inside(model: onnx.ModelProto, name: str, layout: Literal["nchw", "nhwc"]) -> tuple[int, int] | None:
    """Return the width and height that the pictures of input `name` are resized to; None where they are not at once."""
    for _ in range(_MOST_NODES):
        readers = [node for node in model.graph.node if name in node.input and node.op_type not in ("Shape", "Size")]
        if len(readers) != 1 or readers[0].input[0] != name:
            return None
        if readers[0].op_type == "Resize":
            return _told(model, readers[0], layout)
        if readers[0].op_type not in _MOVES:
            return None
        name = readers[0].output[0]
    return None


def _told(model: onnx.ModelProto, resize: onnx.NodeProto, layout: Literal["nchw", "nhwc"]) -> tuple[int, int] | None:
    if len(resize.input) < 4:
        return None
    constants = small_constants(model)
    sizes = _values(model, resize.input[3], constants)
    if len(sizes) != 4:
        return None
    height, width = sizes[2:] if layout == "nchw" else sizes[1:3]
    return (int(width), int(height)) if height and width and height > 0 and width > 0 else None


def _values(
    model: onnx.ModelProto, name: str, constants: Mapping[str, NDArray[np.float64]]
) -> tuple[float | None, ...]:
    """The four sizes; None for one that is no constant: exporters join batch and channels, as they come, to height
    and width.
    """
    if name in constants:
        return tuple(constants[name].tolist())
    maker = next((node for node in model.graph.node if name in node.output), None)
    if maker is None or maker.op_type != "Concat":
        return ()
    parts = [constants.get(part) for part in maker.input]
    known = sum(part.size for part in parts if part is not None)
    unknown = sum(part is None for part in parts)
    if not unknown:
        return tuple(value for part in parts if part is not None for value in part.tolist())
    each = (4 - known) // unknown
    if each * unknown + known != 4:
        return ()
    return tuple(value for part in parts for value in ([None] * each if part is None else part.tolist()))
