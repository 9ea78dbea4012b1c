"""Int8 weights with zero points of their own, written into a graph that is about to be opened.

On x86 without VNNI onnxruntime makes uint8 of int8 weights, where nothing else gives the right sums. It refuses a graph
in which two layers share weights or a zero point, and before 1.30 it ends the process over weights whose
DequantizeLinear names none. None is 0 (ONNX, DequantizeLinear), so 0 is written; what is shared is written once more.
Done on the protobuf bytes (field numbers: onnx.proto3), as there is no onnx package on a device; every other byte is
as it was.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from edge_runtime.bundle.wire import field, fields, integers, message, pieces, unused_prefix

__all__ = ["with_own_zero_points"]

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_NODE_INPUT, _NODE_TYPE, _NODE_DOMAIN = 1, 4, 7
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _INT8 = 1, 2, 8, 9, 3
# What is added may be this much: sizes that a file only claims are no reason to take memory for them.
_MOST_ADDED = 256 << 20


def with_own_zero_points(model: bytes | mmap.mmap) -> bytes | None:
    """Return the serialized ModelProto in which constant int8 weights, and their zero points, are each layer's own.

    None where they are already. Raises ValueError for bytes that are no model.
    """
    parts = list(pieces(memoryview(model)))
    graphs = [message(value) for number, value, _ in parts if number == _GRAPH]
    if len(graphs) != 1:
        raise ValueError(f"the graph is damaged: the model has {len(graphs)}")
    changed = _changed(graphs[0], model)
    if changed is None:
        return None
    return b"".join(field(_GRAPH, changed) if number == _GRAPH else whole for number, _, whole in parts)


@dataclass(frozen=True)
class _Constant:
    """An initializer, and where it lies."""

    body: memoryview
    data_type: int
    dims: tuple[int, ...]


def _changed(graph: memoryview, model: bytes | mmap.mmap) -> bytes | None:
    """The graph's new bytes; None where nothing changes."""
    owned = _Owned(dict(_constant(message(value)) for number, value in fields(graph) if number == _INITIALIZER), model)
    out: list[bytes | memoryview] = []
    for number, value, whole in pieces(graph):
        inputs = _of_weights(message(value)) if number == _NODE else ()
        new = owned.taken(inputs) if inputs else inputs
        out.append(whole if new == inputs else field(_NODE, _with_inputs(message(value), new)))
    return b"".join([*out, *owned.tensors]) if owned.tensors else None


class _Owned:
    """The initializers, and which of them a layer has taken for itself."""

    def __init__(self, constants: Mapping[bytes, _Constant], model: bytes | mmap.mmap) -> None:
        self.tensors: list[bytes] = []  # new ones
        self._constants, self._model = constants, model
        self._taken: set[bytes] = set()
        self._left = _MOST_ADDED

    @cached_property
    def _prefix(self) -> bytes:
        # Asked for once something is added: it reads all of the model, weights too, and most lack nothing.
        return unused_prefix(self._model, b"own_")

    def taken(self, inputs: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What a DequantizeLinear reads instead of `inputs`; the same, where it reads no constant int8 weights."""
        weights, scale, *zero = inputs
        found = self._constants.get(weights)
        if found is None or found.data_type != _INT8:
            return inputs
        if zero and zero[0]:
            return self._own(weights), scale, self._own(zero[0])
        shape = self._constants.get(scale)
        return inputs if shape is None else (self._own(weights), scale, self._zeros(shape.dims))

    def _own(self, name: bytes) -> bytes:
        """The name, for the first that takes it; for others that of a copy."""
        constant = self._constants.get(name)
        if constant is None or name not in self._taken:
            self._taken.add(name)
            return name
        self._take(len(constant.body))
        body = [field(_NAME, self._next()) if number == _NAME else whole for number, _, whole in pieces(constant.body)]
        return self._add(body)

    def _zeros(self, dims: tuple[int, ...]) -> bytes:
        self._take(math.prod(dims))
        body = [field(_DIMS, size) for size in dims]
        body += [field(_DATA_TYPE, _INT8), field(_NAME, self._next()), field(_RAW_DATA, bytes(math.prod(dims)))]
        return self._add(body)

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError(f"zero points and weights of their own would take more than {_MOST_ADDED} bytes")

    def _next(self) -> bytes:
        return self._prefix + str(len(self.tensors)).encode()

    def _add(self, body: list[bytes] | list[bytes | memoryview]) -> bytes:
        name = self._next()
        self.tensors.append(field(_INITIALIZER, b"".join(body)))
        return name


def _of_weights(node: memoryview) -> tuple[bytes, ...]:
    """The inputs of a DequantizeLinear; none of any other node."""
    texts: dict[int, list[bytes]] = {_NODE_INPUT: [], _NODE_TYPE: [], _NODE_DOMAIN: []}
    for number, value in fields(node):
        if number in texts:
            texts[number].append(bytes(message(value)))
    # Of two domains or types protobuf takes the last.
    own = b"".join(texts[_NODE_DOMAIN][-1:]) in (b"", b"ai.onnx") and texts[_NODE_TYPE][-1:] == [b"DequantizeLinear"]
    return tuple(texts[_NODE_INPUT]) if own and len(texts[_NODE_INPUT]) in (2, 3) else ()


def _with_inputs(node: memoryview, names: tuple[bytes, ...]) -> bytes:
    rest = [whole for number, _, whole in pieces(node) if number != _NODE_INPUT]
    return b"".join([*(field(_NODE_INPUT, name) for name in names), *rest])


def _constant(tensor: memoryview) -> tuple[bytes, _Constant]:
    name, data_type = b"", 0
    dims: list[int] = []
    for number, value in fields(tensor):
        if number == _DIMS:
            dims += integers(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            data_type = value
        elif number == _NAME:
            name = bytes(message(value))
    return name, _Constant(tensor, data_type, tuple(dims))
