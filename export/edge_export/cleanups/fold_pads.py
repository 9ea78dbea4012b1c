"""A Pad in front of a MaxPool becomes the pool's own padding: the same answer, one kernel less."""

from __future__ import annotations

import numpy as np
import onnx

from edge_export.cleanups.proof import Proof
from edge_export.graph import Graph, attribute

__all__ = ["fold_pads"]

# What MaxPool pads with is below every value; other frameworks write the lowest float.
_LOWEST = -3.4e38
_NOT_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softplus"})
_KEEPS_SIGN = frozenset({"Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity"})


def fold_pads(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Return a copy of the model without such Pads, and notes; the same model where there are none.

    A Pad with zeros is folded only where its input is never negative: zero is then no greater than what it lies beside.
    """
    if proof.probe is None:
        return model, []
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = Graph(folded)
    gone: set[str] = set()
    for pool in folded.graph.node:
        pad = graph.producer.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        if pad is None or pad.op_type != "Pad" or graph.only_reader(pad.output[0]) != pool:
            continue
        amounts = _amounts(graph, pad, pool)
        if amounts is None:
            continue
        _set(pool, "pads", amounts)
        _set(pool, "auto_pad", "NOTSET")
        pool.input[0] = pad.input[0]
        gone.add(pad.output[0])
    if not gone:
        return model, []
    kept = [node for node in folded.graph.node if node.output[0] not in gone]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del folded.graph.node[:]
    folded.graph.node.extend(copies)
    what = f"{len(gone)} Pads in front of MaxPool"
    if problem := proof.probe.compare(folded):
        return model, [f"{what} stay: without them {problem}"]
    return folded, [f"{what} became the pools' own padding"]


def _amounts(graph: Graph, pad: onnx.NodeProto, pool: onnx.NodeProto) -> list[int] | None:
    """Return the pads that the pool needs, or None where they cannot be its own."""
    if attribute(pad, "mode", b"constant") != b"constant" or len(pad.input) > 3 or len(pool.output) != 1:
        return None
    if any(name and name not in graph.weights for name in pad.input[1:]):
        return None
    if attribute(pool, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or attribute(pool, "ceil_mode", 0):
        return None
    if attribute(pool, "dilations", [1, 1]) not in ([1, 1], None):
        return None
    value = float(graph.array(pad.input[2]).reshape(-1)[0]) if len(pad.input) > 2 and pad.input[2] else 0.0
    if value > _LOWEST and not (value == 0.0 and _never_negative(graph, pad.input[0])):
        return None
    kernel = list(attribute(pool, "kernel_shape", []))  # type: ignore[call-overload]
    all_pads = np.asarray(graph.array(pad.input[1])).reshape(2, -1).astype(int)
    rank = all_pads.shape[1]
    if rank != len(kernel) + 2 or all_pads[:, :2].any() or (all_pads < 0).any():
        return None
    before = list(attribute(pool, "pads", [0] * (2 * len(kernel))))  # type: ignore[call-overload]
    wanted = [int(a + b) for a, b in zip(before, all_pads[:, 2:].reshape(-1), strict=True)]
    # onnxruntime refuses a window that lies in the padding altogether.
    return wanted if all(pads < size for pads, size in zip(wanted, kernel * 2, strict=True)) else None


def _never_negative(graph: Graph, name: str, depth: int = 8) -> bool:
    node = graph.producer.get(name)
    if node is None or depth == 0:
        return False
    if node.op_type in _NOT_NEGATIVE:
        return True
    if node.op_type == "Clip":
        low = node.input[1] if len(node.input) > 1 else ""
        return low in graph.weights and float(graph.array(low).reshape(-1)[0]) >= 0.0
    return node.op_type in _KEEPS_SIGN and all(_never_negative(graph, one, depth - 1) for one in node.input)


def _set(node: onnx.NodeProto, name: str, value: object) -> None:
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
