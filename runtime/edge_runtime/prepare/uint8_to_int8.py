"""A graph's uint8 values as int8 ones: value and zero point move by 128, the real numbers stay the same.

Exact: QuantizeLinear rounds before it adds the zero point, DequantizeLinear subtracts it before it scales. Done on the
protobuf bytes (field numbers: onnx.proto3), as there is no onnx package on a device; every other byte stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_runtime.bundle.wire import field, fields, integers, message, pieces, unused_prefix

__all__ = ["uint8_to_int8"]

_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO, _ANNOTATION = 1, 5, 11, 12, 13, 14
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_DIMS, _DATA_TYPE, _INT32_DATA, _TENSOR_NAME, _RAW_DATA = 1, 2, 5, 8, 9
_NAME, _SUBGRAPH, _SUBGRAPHS = 1, 6, 11
_UINT8, _INT8 = 2, 3
_QUANTIZE, _DEQUANTIZE = b"QuantizeLinear", b"DequantizeLinear"
_ZERO_POINT = 2  # which input
_MAX_DEPTH = 100  # protobuf's own limit


def uint8_to_int8(model: bytes) -> bytes:
    """Return the serialized ModelProto with its uint8 values as int8 ones; `model` itself where there is none.

    A value is what one QuantizeLinear makes and only DequantizeLinear nodes read. Values that are the graph's inputs
    or outputs stay uint8, and so do those around the same layers: onnxruntime has no integer kernel for a layer that
    reads one type and writes the other, and then computes it in float. Raises ValueError for bytes that are no model.
    """
    parts = list(pieces(memoryview(model)))
    graphs = [message(value) for number, value, _ in parts if number == _MODEL_GRAPH]
    if not graphs:
        raise ValueError("the graph is damaged: the model has none")
    changed = _changed(_read(graphs[0]), model) if len(graphs) == 1 else None
    if changed is None:
        return model
    return b"".join(field(_MODEL_GRAPH, changed) if number == _MODEL_GRAPH else whole for number, _, whole in parts)


@dataclass(frozen=True)
class _Node:
    """`type`: of a quantizing node that is understood, else empty. `inner`: names that its subgraphs mention."""

    body: memoryview
    type: bytes
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    inner: frozenset[bytes]

    @property
    def read(self) -> frozenset[bytes]:
        return self.inner | set(self.inputs)

    @property
    def zero_point(self) -> bytes:
        return self.inputs[_ZERO_POINT] if len(self.inputs) > _ZERO_POINT else b""


@dataclass(frozen=True)
class _Constant:
    """An initializer; `values` has a uint8 one's, where they lie in the graph."""

    data_type: int
    dims: tuple[int, ...]
    values: bytes | None


@dataclass(frozen=True)
class _Graph:
    """`parts`: every field's number, name (of what has one) and bytes, in order, and the nodes in that order."""

    parts: tuple[tuple[int, bytes, memoryview], ...]
    nodes: tuple[_Node, ...]
    constants: Mapping[bytes, _Constant]
    outputs: frozenset[bytes]


def _changed(graph: _Graph, model: bytes) -> bytes | None:
    """The graph's new bytes, None where nothing changes."""
    if any(number == _ANNOTATION for number, _, _ in graph.parts):
        return None  # what these say of a value would no longer be true
    groups = _free(graph, _groups(graph))
    if not groups:
        return None
    signed = _Signed(graph.constants, model)
    chosen = {id(node): signed.name(node.zero_point) for group in groups for node in group}
    old = {node.zero_point for group in groups for node in group}
    read = {name for node in graph.nodes if id(node) not in chosen for name in node.read} | graph.outputs
    read |= {name for node in graph.nodes if id(node) in chosen for name in node.inputs[:_ZERO_POINT]}
    gone = old - read
    stale = gone | {group[0].outputs[0] for group in groups}
    return b"".join(_written(graph, chosen, gone, stale)) + signed.tensors()


def _written(
    graph: _Graph, chosen: Mapping[int, bytes], gone: Iterable[bytes], stale: Iterable[bytes]
) -> Iterator[bytes | memoryview]:
    """The graph's fields: `chosen` nodes get their zero point, tensors `gone` and `stale` types are left out."""
    nodes = iter(graph.nodes)
    for number, name, whole in graph.parts:
        if number == _NODE:
            node = next(nodes)
            yield field(_NODE, _with_zero_point(node, chosen[id(node)])) if id(node) in chosen else whole
        elif not (number == _INITIALIZER and name in gone) and not (number == _VALUE_INFO and name in stale):
            yield whole


def _with_zero_point(node: _Node, name: bytes) -> bytes:
    out, position = [], 0
    for number, _, whole in pieces(node.body):
        out.append(field(_NODE_INPUT, name) if number == _NODE_INPUT and position == _ZERO_POINT else bytes(whole))
        position += number == _NODE_INPUT
    return b"".join(out)


class _Signed:
    """The new zero points, one for each value and shape, under names that the model does not have."""

    def __init__(self, constants: Mapping[bytes, _Constant], model: bytes) -> None:
        self._constants = constants
        self._prefix = unused_prefix(model, b"zero_point_int8_")
        self._names: dict[tuple[tuple[int, ...], bytes], bytes] = {}

    def name(self, unsigned: bytes) -> bytes:
        """The int8 zero point for a uint8 one."""
        constant = self._constants[unsigned]
        key = (constant.dims, constant.values or b"")
        return self._names.setdefault(key, self._prefix + str(len(self._names)).encode())

    def tensors(self) -> bytes:
        """The initializers."""
        out = []
        for (dims, values), name in self._names.items():
            # Two's complement: minus 128 is the other highest bit.
            data = bytes(value ^ 0x80 for value in values)
            body = [field(_DIMS, size) for size in dims]
            body += [field(_DATA_TYPE, _INT8), field(_TENSOR_NAME, name), field(_RAW_DATA, data)]
            out.append(field(_INITIALIZER, b"".join(body)))
        return b"".join(out)


_Group = tuple[_Node, ...]


def _groups(graph: _Graph) -> list[_Group]:
    """Each QuantizeLinear whose type can be changed with those that read it, and these."""
    readers: dict[bytes, list[_Node]] = {}
    for node in graph.nodes:
        for name in node.read:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.nodes:
        group = (node, *readers.get(node.outputs[0], ())) if node.type == _QUANTIZE else ()
        if group and node.outputs[0] not in graph.outputs and all(_is_free(one, node, graph) for one in group):
            found.append(group)
    return found


def _is_free(node: _Node, writer: _Node, graph: _Graph) -> bool:
    """Whether a node's zero point is a known uint8, and it is `writer` or reads nothing but its value from it."""
    constant = graph.constants.get(node.zero_point)
    if constant is None or constant.values is None:
        return False
    value = writer.outputs[0]
    return node is writer or (node.type == _DEQUANTIZE and node.inputs[0] == value and value not in node.inputs[1:])


def _free(graph: _Graph, groups: Sequence[_Group]) -> list[_Group]:
    """The groups that no layer joins with a value that stays uint8."""
    of_group = {id(node) for group in groups for node in group}
    regions = _Regions()
    for group in groups:
        regions.join([group[0].inputs[0], *(node.outputs[0] for node in group)])
    staying = []
    for node in graph.nodes:
        if not node.type:
            regions.join(name for name in (*node.read, *node.outputs) if name and name not in graph.constants)
        elif id(node) not in of_group and _may_be_uint8(node, graph):
            staying += [node.inputs[0], node.outputs[0]]
    kept = {regions.find(name) for name in staying}
    return [group for group in groups if regions.find(group[0].inputs[0]) not in kept]


def _may_be_uint8(node: _Node, graph: _Graph) -> bool:
    """Whether a node's quantized side is uint8: its zero point tells, else the constant that it reads; else True."""
    names = (node.zero_point, node.inputs[0]) if node.type == _DEQUANTIZE else (node.zero_point,)
    told = [graph.constants[name].data_type for name in names if name in graph.constants]
    return not told or told[0] == _UINT8


class _Regions:
    """Names that belong together."""

    def __init__(self) -> None:
        self._parent: dict[bytes, bytes] = {}

    def find(self, name: bytes) -> bytes:
        """The name that stands for all of them."""
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = name = self._parent.get(parent, parent)
        return name

    def join(self, names: Iterable[bytes]) -> None:
        """Let all of these belong together."""
        first = None
        for name in names:
            root = self.find(name)
            first = root if first is None else first
            self._parent[root] = first


def _read(view: memoryview) -> _Graph:
    """Read what matters of a GraphProto. Raises ValueError."""
    parts, nodes = [], []
    constants: dict[bytes, _Constant] = {}
    named: dict[int, set[bytes]] = {_INPUT: set(), _OUTPUT: set()}
    for number, value, whole in pieces(view):
        name = b""
        if number == _NODE:
            nodes.append(_node(message(value)))
        elif number == _INITIALIZER:
            name, constants[name] = _initializer(message(value))
        elif number in (_INPUT, _OUTPUT, _VALUE_INFO):
            name = _text(message(value), _NAME)
            if number in named:
                named[number].add(name)
        parts.append((number, name, whole))
    # An initializer that is an input, too, is only a default.
    constants = {name: constant for name, constant in constants.items() if name not in named[_INPUT]}
    return _Graph(tuple(parts), tuple(nodes), constants, frozenset(named[_OUTPUT]))


def _node(body: memoryview, depth: int = 0) -> _Node:
    texts: dict[int, list[bytes]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_TYPE: [], _NODE_DOMAIN: []}
    attributes: set[bytes] = set()
    inner: set[bytes] = set()
    for number, value in fields(body):
        if number in texts:
            texts[number].append(bytes(message(value)))
        elif number == _NODE_ATTRIBUTE:
            attribute = message(value)
            attributes.add(_text(attribute, _NAME))
            for kind, graph in fields(attribute):
                if kind in (_SUBGRAPH, _SUBGRAPHS):
                    inner |= _mentioned(message(graph), depth + 1)
    operator = b"".join(texts[_NODE_TYPE][-1:])
    inputs, outputs = tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT])
    understood = (
        operator in (_QUANTIZE, _DEQUANTIZE)
        and b"".join(texts[_NODE_DOMAIN][-1:]) in (b"", b"ai.onnx")
        and attributes <= {b"axis"}
        and len(inputs) in (2, 3)
        and len(outputs) == 1
        and not inner
    )
    return _Node(body, operator if understood else b"", inputs, outputs, frozenset(inner))


def _mentioned(graph: memoryview, depth: int) -> set[bytes]:
    """The names in a subgraph and those within: it may read any value of the graph around it."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the graph is nested deeper than {_MAX_DEPTH} levels")
    names: set[bytes] = set()
    for number, value in fields(graph):
        if number == _NODE:
            node = _node(message(value), depth)
            names |= node.read | set(node.outputs)
        elif number == _OUTPUT:
            names.add(_text(message(value), _NAME))
    return names


def _initializer(tensor: memoryview) -> tuple[bytes, _Constant]:
    """A tensor's name and what it is."""
    name, data_type, values = b"", 0, None
    dims: list[int] = []
    for number, value in fields(tensor):
        if number == _DIMS:
            dims += integers(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            data_type = value
        elif number == _TENSOR_NAME:
            name = bytes(message(value))
        elif number == _RAW_DATA and data_type == _UINT8:
            values = bytes(message(value))
        elif number == _INT32_DATA and data_type == _UINT8:
            values = (values or b"") + bytes(integers(value))
    # External ones have no values here, and what does not fit is nothing to count on.
    return name, _Constant(data_type, tuple(dims), values if values and len(values) == math.prod(dims) else None)


def _text(body: memoryview, wanted: int) -> bytes:
    found = [message(value) for number, value in fields(body) if number == wanted]
    return bytes(found[-1]) if found else b""  # of two, protobuf takes the last
