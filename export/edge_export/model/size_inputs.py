"""Second inputs that are only sizes: what the picture was, or how it was scaled. The device knows none but the model's
own input: they become constants, so that boxes come in its pixels.
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
    notes = (
        f"the input {name!r} is filled with {', '.join(f'{number:g}' for number in array.ravel())}: boxes come in "
        "pixels of the input"
        for name, array in found.items()
    )
    return filled, tuple(notes)


def _filled(value: onnx.ValueInfoProto, image: ImageInput | None) -> NDArray[np.generic] | None:
    meaning = _VALUES.get(value.name)
    if meaning is None or image is None or not (image.width and image.height):
        return None
    sizes = {"h": image.height, "w": image.width, "1": 1}
    numbers = np.array([sizes[letter] for letter in meaning])
    dims = value.type.tensor_type.shape.dim
    if len(dims) not in (1, 2) or dims[-1].dim_value not in (0, len(meaning)):
        return None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    batch = dims[0].dim_value or 1 if len(dims) == 2 else 0
    return np.asarray(np.tile(numbers, (batch, 1)) if batch else numbers).astype(dtype)
