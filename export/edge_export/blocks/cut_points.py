"""Where to cut: blocks of about one size, at points where little crosses and no fusion of onnxruntime is split."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx

from edge_export.blocks.sequence import Sequence
from edge_export.state import ValueFact

__all__ = ["choose_cut_points", "target_bytes", "weight_sizes"]

_MIN_BLOCK = 1 << 20
_MAX_BLOCK = 16 << 20
_BLOCKS = 24
_SMALL_BYTES = 1024
# A float value that leaves one of these may be fused with its first reader (bias, activation, residual, quantize).
_FUSES_FORWARD = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "Sigmoid", "Erf", "Tanh", "HardSigmoid"}
)
_FUSED_READERS = frozenset(
    {
        "Relu",
        "Clip",
        "LeakyRelu",
        "QuantizeLinear",
        "Sigmoid",
        "Mul",
        "Div",
        "Erf",
        "LayerNormalization",
        "Softmax",
        "Add",
    }
)


def target_bytes(total: int) -> int:
    """Return the wished weight bytes of a block: 1/24 of the model, at least 1 MiB, at most 16 MiB."""
    return min(max(total // _BLOCKS, _MIN_BLOCK), _MAX_BLOCK)


def weight_sizes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the bytes of each initializer, from its shape and type."""
    sizes = {}
    for weight in model.graph.initializer:
        count = 1
        for dim in weight.dims:
            count *= dim
        if weight.data_type != onnx.TensorProto.STRING:
            sizes[weight.name] = count * onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize
    return sizes


def choose_cut_points(
    sequence: Sequence,
    sizes: Mapping[str, int],
    facts: Mapping[str, ValueFact],
    target: int,
    banned: Collection[int] = (),
) -> tuple[int, ...]:
    """Return the main-line positions before which to cut, ascending, none of them in `banned`.

    Walks the main line; once a block holds 0.6 of `target` bytes of weights every position is a candidate, until
    weights come that would take it over 1.2; the one where the least crosses is taken. A node that is bigger
    alone makes a bigger block.
    """
    added = _added_bytes(sequence, sizes)
    points: list[int] = []
    candidates: list[tuple[float, int]] = []
    held = 0
    for position, (size, crossing) in enumerate(zip(added, sequence.crossings(), strict=True)):
        if held >= 0.6 * target and position not in banned:
            candidates.append((_cost(sequence, position, crossing, facts), -position))
        # The cut is chosen when the next weights would be too many: what comes before them can still join. Scales
        # and zero points are a few bytes and no reason to cut before their node.
        full = held + size > 1.2 * target and (size >= _SMALL_BYTES or held > 2 * target)
        if full and candidates:
            cost, point = min(candidates)
            candidates = []
            if cost < float("inf"):
                points.append(-point)
                held = sum(added[-point:position])
        held += size
    # A tail with hardly any weights is not worth a block of its own.
    if points and sum(added[points[-1] :]) < 0.15 * target:
        points.pop()
    return tuple(points)


def _added_bytes(sequence: Sequence, sizes: Mapping[str, int]) -> list[int]:
    seen: set[str] = set()
    added = []
    for need in sequence.needs:
        fresh = {name for name in need if name in sizes} - seen
        seen |= fresh
        added.append(sum(sizes[name] for name in fresh))
    return added


def _cost(sequence: Sequence, position: int, crossing: Collection[str], facts: Mapping[str, ValueFact]) -> float:
    """Return the bytes that cross, times ten where a fusion would be split; infinite for values that cannot cross."""
    if any(name not in facts for name in crossing):
        return float("inf")
    cost = float(sum(facts[name].nbytes for name in crossing))
    return cost * 10 if any(_splits_fusion(sequence, position, name, facts) for name in crossing) else cost


def _splits_fusion(sequence: Sequence, position: int, name: str, facts: Mapping[str, ValueFact]) -> bool:
    if facts[name].dtype != "float32":
        return False
    if sequence.main[sequence.made_at[name]].op_type in _FUSES_FORWARD:
        return True
    later = (reader for reader in sequence.readers_at[name] if reader >= position)
    return any(sequence.main[reader].op_type in _FUSED_READERS for reader in later)
