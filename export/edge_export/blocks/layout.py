"""The layout of weights.bin: each block's weights contiguous, blocks 4096-aligned, tensors 64-aligned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from edge_export.graph import Graph
from edge_export.graph.outside import tensor_array
from edge_export.state import Cut
from edge_runtime.bundle.bundle import BLOCK_ALIGNMENT, TENSOR_ALIGNMENT

__all__ = ["BlockRange", "Layout", "TensorRange", "lay_out"]

# Smaller tensors stay inside the graphs: a reference to an outside file takes about as many bytes.
INLINE_BYTES = 256
# onnxruntime reads these while it infers shapes; a few bytes each, and never weights.
_SHAPE_TYPES = (onnx.TensorProto.INT64, onnx.TensorProto.STRING, onnx.TensorProto.BOOL)


@dataclass(frozen=True)
class TensorRange:
    """Where a tensor lies in weights.bin, in bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class BlockRange:
    """The part of weights.bin that belongs to one block, and the tensors in it."""

    offset: int
    size: int
    tensors: tuple[TensorRange, ...]


@dataclass(frozen=True)
class Layout:
    """All of weights.bin: `size` bytes, one range for each block, in order."""

    size: int
    blocks: tuple[BlockRange, ...]

    @property
    def tensors(self) -> dict[str, TensorRange]:
        """Every tensor's place by name."""
        return {tensor.name: tensor for block in self.blocks for tensor in block.tensors}


def lay_out(model: onnx.ModelProto, cuts: Sequence[Cut]) -> Layout:
    """Give every large initializer one place, in the block that reads it first."""
    sizes = {weight.name: _stored_size(weight) for weight in model.graph.initializer}
    placed: set[str] = set()
    blocks = []
    end = 0
    for cut in cuts:
        start = _align(end, BLOCK_ALIGNMENT)
        offset = start
        tensors = []
        for name in dict.fromkeys(name for node in cut.nodes for name in Graph.reads(node)):
            size = sizes.get(name, 0)
            if size >= INLINE_BYTES and name not in placed:
                offset = _align(offset, TENSOR_ALIGNMENT)
                tensors.append(TensorRange(name, offset, size))
                placed.add(name)
                offset += size
        blocks.append(BlockRange(start, offset - start, tuple(tensors)))
        end = offset
    return Layout(end, tuple(blocks))


def _stored_size(weight: onnx.TensorProto) -> int:
    if weight.data_type in _SHAPE_TYPES:
        return 0
    return int(tensor_array(weight).nbytes)


def _align(offset: int, step: int) -> int:
    return -(-offset // step) * step
