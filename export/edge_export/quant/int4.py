"""Weights of large MatMuls and Gemms as 4-bit integers, a scale and a zero point for every block of 32 rows.

Written as onnxruntime's own operator MatMulNBits (com.microsoft, version 1), which runs at any opset and holds its
weights packed while it runs; its arrays are plain uint8 and float32. The standard form, DequantizeLinear with
`block_size` (opset 21), becomes the same MatMulNBits when onnxruntime 1.31 loads it, but asks for opset 21.

It computes in floats (`accuracy_level` 1), so that every form a device holds it in gives one answer: at level 4, with
activations as int8 by block, the kernel that packs its weights and the one that does not (weights as graph inputs)
differ by their rounding, 38 dB after eight layers, and the device refuses to prepare what differs so much. Measured for
ViT-B's products (197 rows, x86-64 with AVX-512 VNNI, one thread, onnxruntime 1.31.1, latency over that of the FP32
MatMul, 768x3072 / 3072x768): floats 1.04 / 1.01, level 4 0.86 / 0.61, at the same error to 0.03 dB. A zero point gains
0.3 dB (normal weights) to 1 dB (heavy tails) over a symmetric form at the same block, for 0.125 bit a weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_export.graph import Graph, attribute
from edge_export.quant.select import Compute
from edge_export.quant.writer import GraphWriter

__all__ = [
    "MICROSOFT",
    "SMALLEST_BYTES",
    "Int4Weight",
    "block_of",
    "import_microsoft",
    "int4_able",
    "int4_nodes",
    "int4_weight",
    "quantize_int4",
    "write_int4",
]

MICROSOFT = "com.microsoft"
# Float bytes from which on a weight is worth the accuracy that 4 bits cost: smaller ones save little.
SMALLEST_BYTES = 256 << 10
ACCURACY_LEVEL = 1

_BLOCKS = (32, 16)  # MatMulNBits takes powers of two from 16 on
_TOP = 15
# Shrink factors tried for a block's range: for both ends together, then for each end alone.
_TOGETHER = (1.0, 0.95, 0.9, 0.85, 0.8, 0.74, 0.67)
_ALONE = (0.94, 0.88, 0.8, 0.7)
_CHUNK = 1 << 17  # elements searched at once: a few arrays of so many floats are held


@dataclass(frozen=True)
class Int4Weight:
    """A weight [rows, columns] as MatMulNBits reads it: real = (code - zero point) * scale, both 0..15.

    `packed` uint8 [columns, rows / block, block / 2], two codes in a byte, the lower row in the low half; `scales`
    float32 [columns, rows / block]; `zero_points` uint8 [columns, ceil(rows / block / 2)], two in a byte as well.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.uint8]

    @property
    def block(self) -> int:
        """Rows that share a scale."""
        return 2 * int(self.packed.shape[2])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weight that this stands for."""
        return self.packed.shape[1] * self.block, self.packed.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes stored."""
        return self.packed.nbytes + self.scales.nbytes + self.zero_points.nbytes

    def dequantize(self) -> NDArray[np.float32]:
        """Return the float32 weight [rows, columns] that the codes stand for."""
        codes = _unpack(self.packed).astype(np.float32)
        zeros = _unpack(self.zero_points)[:, : self.scales.shape[1]].astype(np.float32)
        real = (codes - zeros[..., None]) * self.scales[..., None]
        return np.ascontiguousarray(real.reshape(self.packed.shape[0], -1).T)


def block_of(rows: int) -> int | None:
    """Return the block that a weight of so many rows is stored with, None where none divides them."""
    return next((block for block in _BLOCKS if rows and rows % block == 0), None)


def int4_able(graph: Graph, item: Compute) -> bool:
    """Tell whether a node is a MatMul or Gemm whose weights are large enough, and of a shape, to be stored as int4."""
    if item.op not in ("MatMul", "Gemm") or item.refusal is not None:
        return False
    dims = list(graph.weights[item.weight].dims)
    return len(dims) == 2 and 4 * dims[0] * dims[1] >= SMALLEST_BYTES and block_of(dims[1 - item.axis]) is not None


def int4_weight(item: Compute, weight: NDArray[np.floating]) -> Int4Weight:
    """Quantize the weights of one of `int4_able`'s nodes, given as the graph holds them (a Gemm may transpose them)."""
    matrix = weight.T if item.axis == 0 else weight
    block = block_of(matrix.shape[0])
    if block is None:
        raise ValueError(f"int4 needs a multiple of {_BLOCKS[-1]} rows, found {matrix.shape[0]} in {item.weight!r}")
    return quantize_int4(matrix, block)


def quantize_int4(weight: NDArray[np.floating], block: int = 32) -> Int4Weight:
    """Quantize a weight [rows, columns], `block` rows at a time, each with the range of least squared error of those
    tried. Values inside a block's range are within half its scale. `rows` has to be a multiple of `block`.
    """
    if weight.ndim != 2 or block not in (16, 32, 64, 128, 256) or weight.shape[0] % block or not weight.size:
        raise ValueError(f"int4 needs a matrix whose rows are a multiple of the block, found {weight.shape} by {block}")
    if not np.isfinite(weight).all():
        raise ValueError("int4 needs finite weights, found infinity or NaN")
    rows, columns = weight.shape
    count = rows // block
    codes = np.empty((columns, count, block), np.uint8)
    scales, zeros = np.empty((columns, count), np.float32), np.empty((columns, count), np.uint8)
    step = max(1, _CHUNK // rows)
    for start in range(0, columns, step):
        part = np.s_[start : start + step]
        blocks = np.ascontiguousarray(weight[:, part].T, np.float32).reshape(-1, count, block)
        codes[part], scales[part], zeros[part] = _search(blocks)
    if count % 2:  # the second half of a column's last byte
        zeros = np.pad(zeros, ((0, 0), (0, 1)), constant_values=8)
    return Int4Weight(_pack(codes), scales, _pack(zeros))


def int4_nodes(
    node: onnx.NodeProto, name: str, weight: Int4Weight
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes that take the place of a MatMul or Gemm (A, weights[, C]), and their constants.

    The last node keeps the node's output, the first its name; every other name made begins with `name`, which has to be
    one that the graph does not use. The model has to import com.microsoft (`import_microsoft`).
    """
    rows, columns = weight.shape
    third = node.input[2] if len(node.input) > 2 else ""
    if node.op_type == "Gemm" and (attribute(node, "transA", 0) or not _is_plain(node, bool(third))):
        raise ValueError(f"Gemm {node.name!r} has transA, alpha or beta, which MatMulNBits has not")
    arrays = {
        "packed": weight.packed,
        "scales": weight.scales.reshape(-1),
        "zeros": weight.zero_points.reshape(-1),
    }
    product = f"{name}_product" if third else node.output[0]
    nodes = [
        helper.make_node(
            "MatMulNBits",
            [node.input[0], *(f"{name}_{part}" for part in arrays)],
            [product],
            node.name,
            domain=MICROSOFT,
            K=rows,
            N=columns,
            bits=4,
            block_size=weight.block,
            accuracy_level=ACCURACY_LEVEL,
        )
    ]
    if third:
        nodes.append(helper.make_node("Add", [product, third], [node.output[0]], f"{name}_add"))
    return nodes, [numpy_helper.from_array(array, f"{name}_{part}") for part, array in arrays.items()]


def write_int4(writer: GraphWriter, item: Compute) -> None:
    """Put a MatMulNBits, which computes in floats from int4 weights, in the place of a MatMul or Gemm."""
    weight = writer.cache.once(("int4", item.name), lambda: int4_weight(item, writer.cache.floats(item)))
    nodes, constants = int4_nodes(writer.nodes[item.name], writer.fresh(f"{item.weight}_4"), weight)
    writer.instead[item.name] = nodes
    writer.constants |= {constant.name: constant for constant in constants}
    import_microsoft(writer.model)


def import_microsoft(model: onnx.ModelProto) -> None:
    """Make a model import the operators of com.microsoft, in place, where it does not yet."""
    if all(item.domain != MICROSOFT for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def _is_plain(gemm: onnx.NodeProto, has_third: bool) -> bool:
    return attribute(gemm, "alpha", 1.0) == 1.0 and (not has_third or attribute(gemm, "beta", 1.0) == 1.0)


def _search(blocks: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """Return codes, scales and zero points of blocks [columns, count, block].

    For given codes c the scale of least squares is <x, c> / <c, c>, and what it leaves of <x, x> is less by
    <x, c>^2 / <c, c>: the range with the largest such gain is taken, and values are coded once more with its scale.
    """
    low = np.minimum(blocks.min(axis=2, keepdims=True), 0.0)
    high = np.maximum(blocks.max(axis=2, keepdims=True), 0.0)
    most = np.full(low.shape, -1.0, np.float32)
    scale, zero = np.ones_like(low), np.zeros_like(low)
    left, right = np.ones_like(low), np.ones_like(low)  # the factors of the best range so far, by block

    def look(low_factor: NDArray[np.float32], high_factor: NDArray[np.float32]) -> None:
        tried = ((high * high_factor - low * low_factor) / np.float32(_TOP)).astype(np.float32)
        tried[tried < 1e-30] = 1.0  # a block of zeros, or of denormals, which cannot be told from them
        offset = np.clip(np.rint(-low * low_factor / tried), 0, _TOP).astype(np.float32)
        codes = np.clip(np.rint(blocks / tried), -offset, _TOP - offset)
        along = np.einsum("cbi,cbi->cb", blocks, codes)[..., None]
        energy = np.einsum("cbi,cbi->cb", codes, codes)[..., None]
        gain = along / np.sqrt(np.maximum(energy, 1.0))  # its square is the gain; scales do not turn the sign
        better = gain > most
        most[better] = gain[better]
        scale[better] = np.where(energy > 0, along / np.maximum(energy, 1.0), tried)[better]
        zero[better] = offset[better]
        left[better], right[better] = low_factor[better], high_factor[better]

    for factor in _TOGETHER:
        both = np.full_like(low, factor)
        look(both, both)
    at_left, at_right = left.copy(), right.copy()
    for factor in _ALONE:
        look(at_left * np.float32(factor), at_right)
    at_left = left.copy()
    for factor in _ALONE:
        look(at_left, at_right * np.float32(factor))
    scale[scale <= 0] = 1.0
    codes = np.clip(np.rint(blocks / scale) + zero, 0, _TOP).astype(np.uint8)
    return codes, scale[..., 0], zero[..., 0].astype(np.uint8)


def _pack(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put pairs of the last axis (of even length) in a byte, the first in the low half."""
    return np.asarray(codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4)), np.uint8)


def _unpack(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pairs = np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1)
    return np.asarray(pairs.reshape(*packed.shape[:-1], -1), np.uint8)
