"""What the graph itself says of its inputs and outputs, as far as the metadata readers need it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Union

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edge_export.model.pixels_inside import PixelRange, pixels_inside, small_constants
from edge_export.model.size_inside import size_inside

__all__ = ["FILLED", "ImageInput", "Output", "image_input", "input_names", "outputs"]

_DTYPES: dict[int, Literal["float32", "float16", "uint8", "int8"]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
}
# The property that keeps the names of inputs that became constants: they tell families apart.
FILLED = "edgeline.size_inputs"
_MAX_SIDE = 16384
_SEE_THROUGH = {
    "Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Resize", "Squeeze", "Transpose",
    "Upsample",
}  # fmt: skip


@dataclass(frozen=True)
class ImageInput:
    """The first input that can be an image: rank 4, 1 or 3 channels. A size of 0 is not known.

    `pixels` is the range that the graph's first nodes tell, "" where they do not.
    """

    name: str
    width: int
    height: int
    channels: int
    layout: Literal["nchw", "nhwc"]
    dtype: Literal["float32", "float16", "uint8", "int8"]
    pixels: PixelRange = ""


@dataclass(frozen=True)
class Output:
    """A graph output; `shape` has None for dimensions that are not known, and is None with an unknown
    rank. `kind` is numpy's letter for its type: f, i, u, b; "" where it is none of those. `limit` is the constant above
    which the graph says yes, where it compares another value with one to make this output.
    """

    name: str
    shape: Union[tuple[Union[int, None], ...], None]
    maker: str = ""
    kind: str = "f"
    limit: Union[float, None] = None


def image_input(model: onnx.ModelProto) -> ImageInput | None:
    """The only image among the graph's inputs; None when there is none, or there are several.

    A size that is free is the one that the graph itself brings pictures to, where it does.
    """
    found = [image for value in _inputs(model) if (image := _image(value)) is not None]
    if len(found) != 1:
        return None
    image = dataclasses.replace(found[0], pixels=pixels_inside(model, found[0].name))
    if not (image.width and image.height) and (size := size_inside(model, image.name, image.layout)) is not None:
        image = dataclasses.replace(image, width=size[0], height=size[1])
    return image


def input_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of the graph's inputs in order, those after them that were filled (size_inputs.py)."""
    filled = next((entry.value for entry in model.metadata_props if entry.key == FILLED), "")
    return (*(value.name for value in _inputs(model)), *filled.split())


def outputs(model: onnx.ModelProto) -> tuple[Output, ...]:
    """The graph's outputs in order."""
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = small_constants(model)
    return tuple(
        Output(
            value.name,
            _shape(value),
            _maker(makers, value.name),
            _kind(value),
            _limit(makers.get(value.name), constants),
        )
        for value in model.graph.output
    )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)


def _limit(maker: onnx.NodeProto | None, constants: Mapping[str, NDArray[np.float64]]) -> float | None:
    if maker is None or maker.op_type not in ("Greater", "GreaterOrEqual"):
        return None
    value = constants.get(maker.input[1])
    return float(value[0]) if value is not None and value.size == 1 else None


def _kind(value: onnx.ValueInfoProto) -> str:
    try:
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).kind
    except (KeyError, TypeError):
        return ""
    return str(kind) if kind in "fiub" else ""


def _image(value: onnx.ValueInfoProto) -> ImageInput | None:
    shape, dtype = _shape(value), _DTYPES.get(value.type.tensor_type.elem_type)
    if shape is None or len(shape) != 4 or dtype is None:
        return None
    layouts: tuple[tuple[Literal["nchw", "nhwc"], int, int, int], ...] = (
        ("nchw", 1, 2, 3),
        ("nhwc", 3, 1, 2),
    )
    for layout, channel, height, width in layouts:
        if shape[channel] in (1, 3):
            sides = [side if side and side <= _MAX_SIDE else 0 for side in (shape[width], shape[height])]
            return ImageInput(value.name, sides[0], sides[1], shape[channel] or 3, layout, dtype)
    return None


def _maker(makers: Mapping[str, onnx.NodeProto], name: str) -> str:
    """The operator that makes an output, seen through those that only reshape, enlarge or convert it."""
    for _ in range(16):
        node = makers.get(name)
        if node is None:
            return ""
        if node.op_type not in _SEE_THROUGH or not node.input:
            return str(node.op_type)
        name = node.input[0]
    return ""
