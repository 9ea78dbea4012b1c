"""Second inputs that are only sizes: what the picture was, how it was scaled, or which pixels are of it. The device
knows none but the model's own input: they become constants, so that boxes come in its pixels.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_export.model.graph_io import FILLED, ImageInput

__all__ = ["fill_sizes"]

# What each name stands for: PaddleDetection's deploy/python/preprocess.py; RT-DETR's, D-FINE's and DEIM's
# tools/export_onnx.py (width first); YOLOv3 of the ONNX model zoo; transformers' post_process_object_detection.
_VALUES = {
    "scale_factor": "11",
    "im_shape": "hw",
    "im_info": "hw1",
    "image_shape": "hw",
    "target_sizes": "hw",
    "orig_target_sizes": "wh",
    "orig_size": "wh",
}

# Which pixels are the picture's and not of a border: all, as optimum exports DETR (transformers' DetrImageProcessor).
_MASK = "pixel_mask"


def fill_sizes(model: onnx.ModelProto, image: ImageInput | None) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return the model with its size inputs as constants, and a note of each; the model itself where it has none.

    An image input whose size is not known yet leaves them: their values are not known either.
    """
    weights = {weight.name for weight in model.graph.initializer}
    found = {
        value.name: array
        for value in model.graph.input
        if value.name not in weights and (array := _filled(value, image)) is not None
    }
    if not found:
        return model, ()
    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    kept = [value for value in filled.graph.input if value.name not in found]
    del filled.graph.input[:]
    filled.graph.input.extend(kept)
    filled.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in found.items())
    filled.metadata_props.add(key=FILLED, value=" ".join(found))
    return filled, tuple(_note(name, array) for name, array in found.items())


def _note(name: str, array: NDArray[np.generic]) -> str:
    if name == _MASK:
        return f"the input {name!r} is filled with ones: all pixels are the picture's"
    values = ", ".join(f"{number:g}" for number in array.ravel())
    return f"the input {name!r} is filled with {values}: boxes come in pixels of the input"


def _filled(value: onnx.ValueInfoProto, image: ImageInput | None) -> NDArray[np.generic] | None:
    meaning = _VALUES.get(value.name)
    if image is None or not (image.width and image.height):
        return None
    if value.name == _MASK:
        return _ones(value, image)
    if meaning is None:
        return None
    sizes = {"h": image.height, "w": image.width, "1": 1}
    numbers = np.array([sizes[letter] for letter in meaning])
    dims = value.type.tensor_type.shape.dim
    if len(dims) not in (1, 2) or dims[-1].dim_value not in (0, len(meaning)):
        return None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    batch = dims[0].dim_value or 1 if len(dims) == 2 else 0
    return np.asarray(np.tile(numbers, (batch, 1)) if batch else numbers).astype(dtype)


def _ones(value: onnx.ValueInfoProto, image: ImageInput) -> NDArray[np.generic] | None:
    """A mask [batch, height, width] of ones; of the image's size where its own is free."""
    sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if len(sides) != 3:
        return None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return np.ones((sides[0] or 1, sides[1] or image.height, sides[2] or image.width), dtype)
