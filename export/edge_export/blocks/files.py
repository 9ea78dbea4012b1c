"""The files of a model that was cut: its weights once, and the graphs that point into them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx

from edge_export.blocks.layout import Layout
from edge_export.graph.outside import inside, point_outside, tensor_array
from edge_export.state import Cut
from edge_runtime.bundle.manifest import Block

__all__ = ["WEIGHTS", "block_table", "write_graph", "write_weights"]

WEIGHTS = "weights.bin"


def write_weights(model: onnx.ModelProto, layout: Layout, path: Path) -> None:
    """Write the big initializers to where the layout has them."""
    tensors = layout.tensors
    arrays = {weight.name: weight for weight in model.graph.initializer if weight.name in tensors}
    with path.open("wb") as stream:
        for block in layout.blocks:
            for tensor in block.tensors:
                stream.seek(tensor.offset)
                stream.write(tensor_array(arrays[tensor.name]).tobytes())
        stream.truncate(layout.size)


def write_graph(model: onnx.ModelProto, layout: Layout, path: Path) -> None:
    """Write a graph whose large initializers point into weights.bin; inner shapes and doc strings are left out."""
    tensors = layout.tensors
    slim = onnx.ModelProto()
    slim.ir_version = model.ir_version
    slim.producer_name = "edgeline"
    slim.opset_import.extend(model.opset_import)
    slim.functions.extend(model.functions)
    slim.graph.name = model.graph.name or "model"
    slim.graph.input.extend(model.graph.input)
    slim.graph.output.extend(model.graph.output)
    slim.graph.node.extend(model.graph.node)
    for node in slim.graph.node:
        node.ClearField("doc_string")
    for weight in model.graph.initializer:
        tensor = tensors.get(weight.name)
        if tensor is None:
            slim.graph.initializer.append(inside(weight))
            continue
        outside = slim.graph.initializer.add()
        outside.name, outside.data_type = weight.name, weight.data_type
        outside.dims.extend(weight.dims)
        point_outside(outside, WEIGHTS, tensor.offset, tensor.size)
    path.write_bytes(slim.SerializeToString(deterministic=True))


def block_table(cuts: tuple[Cut, ...], layout: Layout, names: list[str], weights: Path) -> tuple[Block, ...]:
    """Return the manifest's row of each block, with the hash of its part of the weights' file."""
    table = []
    with weights.open("rb") as stream:
        for cut, block, name in zip(cuts, layout.blocks, names, strict=True):
            stream.seek(block.offset)
            digest = hashlib.sha256(stream.read(block.size)).hexdigest()
            table.append(Block(name, cut.inputs, cut.outputs, len(cut.nodes), block.offset, block.size, digest))
    return tuple(table)
