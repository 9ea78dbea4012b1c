"""Sparse weights stored compressed: the non-zero values and the gaps between them, put back by standard operators.

onnxruntime folds the operators into one dense constant while it loads the graph (from ORT_ENABLE_BASIC on), so that
what reads the constant, DequantizeLinear or Cast, is fused and runs as if it had been stored dense.

    codes [pieces, m] --Cast--> --CumSum--> where --ScatterElements(zeros, where, values)--> [1, n] --Reshape--> dense

Value k lies `codes[k]` behind value k - 1 (the first: from the start). A gap that is too long for a code is bridged by
zeros that are stored. Codes have 8 bits, or 4, two in a byte, whichever is smaller for this tensor. A bit mask, of
which NonZero would make the places, takes less below three quarters of zeros, but onnxruntime 1.31 does not fold
NonZero, and a running sum over every bit needs 12 bytes a weight while it loads; this takes 3, and 8 a stored value.
ONNX's own sparse_initializer stores 8 bytes of index a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["sparse_bytes", "sparse_nodes", "worth_it", "zero_share"]

# Names, attributes and shapes of the operators; and how much smaller a tensor must get, since loading takes longer.
_NODE_BYTES = 1200
_MARGIN = 0.85
_LONGEST = {4: 15, 8: 255}  # the largest gap by bits of a code


@dataclass(frozen=True)
class _Stored:
    """`codes` uint8 [1, n] and `values` [1, entries]. Of 4 bits, low halves of bytes come before high ones."""

    bits: int
    codes: NDArray[np.uint8]
    values: NDArray[np.generic]

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.values.nbytes


def zero_share(values: NDArray[np.generic]) -> float:
    """Return the share of zeros, 0..1 (0 for an empty tensor)."""
    return 1.0 - np.count_nonzero(values) / values.size if values.size else 0.0


def sparse_bytes(values: NDArray[np.generic]) -> int:
    """Return the bytes that `sparse_nodes` stores for a tensor, its operators included."""
    return _store(values).nbytes + _NODE_BYTES


def worth_it(values: NDArray[np.generic]) -> bool:
    """Tell whether a tensor gets smaller by `sparse_nodes`, and by enough to pay for the work when it is loaded."""
    # Half of the values at 12 bits each are 0.75 of int8: with fewer zeros than 40 % it cannot pay.
    if values.nbytes < 2 * _NODE_BYTES or zero_share(values) < 0.4:
        return False
    return sparse_bytes(values) < _MARGIN * values.nbytes


def sparse_nodes(name: str, values: NDArray[np.generic]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    """Return the operators (opset 11 on, in order), their constants and the value that holds `values` again.

    `values` is int8, float16 or another type of ONNX, of any shape but empty. Every name made begins with `name`, which
    has to be one that the graph does not use. Exact, but that a float's -0 becomes 0.
    """
    if not 0 < values.size < 2**31:
        raise ValueError(f"a sparse tensor needs 1 to 2**31 - 1 elements, found {values.size}")
    stored = _store(values)
    zero = np.zeros(1, values.dtype)
    constants = {
        "codes": stored.codes,
        "values": stored.values,
        "count": np.array([1, values.size], np.int64),
        "shape": np.array(values.shape, np.int64),
        "axis": np.array(1, np.int64),
    }
    if stored.bits == 4:
        constants |= {"four": np.array(4, np.uint8), "sixteen": np.array(16, np.uint8)}
    steps: list[tuple[str, list[str], str, dict[str, object]]] = []
    codes = "codes"
    if stored.bits == 4:
        codes = "gaps"
        steps += [
            ("Mod", ["codes", "sixteen"], "low", {}),
            ("BitShift", ["codes", "four"], "high", {"direction": "RIGHT"}),
            ("Concat", ["low", "high"], "gaps", {"axis": 1}),
        ]
    steps += [
        ("Cast", [codes], "wide", {"to": onnx.TensorProto.INT32}),
        ("CumSum", ["wide", "axis"], "where", {}),
        ("ConstantOfShape", ["count"], "zeros", {"value": numpy_helper.from_array(zero)}),
        ("ScatterElements", ["zeros", "where", "values"], "flat", {"axis": 1}),
        ("Reshape", ["flat", "shape"], "dense", {}),
    ]
    nodes = [
        helper.make_node(op, [f"{name}_{part}" for part in inputs], [f"{name}_{output}"], f"{name}_{output}", **more)
        for op, inputs, output, more in steps
    ]
    tensors = [numpy_helper.from_array(array, f"{name}_{part}") for part, array in constants.items()]
    return nodes, tensors, f"{name}_dense"


def _store(values: NDArray[np.generic]) -> _Stored:
    flat = np.ascontiguousarray(values).reshape(-1)
    places = np.flatnonzero(flat)
    return min((_coded(flat, places, bits) for bits in (4, 8)), key=lambda stored: stored.nbytes)


def _coded(flat: NDArray[np.generic], places: NDArray[np.intp], bits: int) -> _Stored:
    gaps, longest = np.diff(places, prepend=0), _LONGEST[bits]
    bridges = np.maximum(gaps - 1, 0) // longest  # zeros stored on the way to each value
    entries = np.cumsum(bridges + 1) - 1
    count = int(entries[-1]) + 1 if len(entries) else 1  # a tensor of zeros stores one
    padded = count + (count % 2 if bits == 4 else 0)
    codes = np.full(padded, longest if len(entries) else 0, np.uint8)
    stored = np.zeros(padded, flat.dtype)
    codes[entries] = gaps - bridges * longest
    stored[entries] = flat[places]
    # What fills the last byte is the last value once more, at its own place.
    codes[count:], stored[count:] = 0, stored[count - 1]
    if bits == 4:
        codes = codes[: padded // 2] | (codes[padded // 2 :] << np.uint8(4))
    return _Stored(bits, codes[None], stored[None])
