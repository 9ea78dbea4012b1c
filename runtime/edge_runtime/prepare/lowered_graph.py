"""A lowered graph as its nodes and weights, read from the protobuf bytes: what is cut in blocks (cut_lowered.py).

onnx.proto3's field numbers; a device has no onnx. Names are bytes, as protobuf has them. What a block cannot carry
over is refused: weights of subgraphs in the external file, sparse weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edge_runtime.bundle.wire import field, fields, integers, message, pieces

__all__ = ["LoweredGraph", "LoweredNode", "LoweredWeight", "Span", "read_lowered"]

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_TENSOR, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 2, 5, 11, 12, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = (6, 11)
_VALUE_NAME = 1
_DIMS, _TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 1, 8, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
# onnxruntime's key of a packed form, graph.cc: "prepacked_0" = "KERNEL+HASH|offset;length;checksum|..."
_PACKED = b"prepacked_"


@dataclass(frozen=True)
class Span:
    """`length` bytes at `offset` of a file."""

    offset: int
    length: int


@dataclass(frozen=True)
class LoweredNode:
    """A node whole; `reads` are its inputs and what graphs within it may take from outside."""

    whole: memoryview
    reads: frozenset[bytes]
    makes: tuple[bytes, ...]


@dataclass(frozen=True)
class LoweredWeight:
    """An initializer; `fields` is its TensorProto without what says where its bytes lie.

    `place`: its bytes in the external file, None where they are in `fields`. `packed`: of each kernel that saved a
    packed form its key and the bytes of that form, with what onnxruntime writes behind them.
    """

    name: bytes
    fields: bytes
    place: Span | None
    packed: Mapping[bytes, tuple[tuple[Span, bytes], ...]]

    def stored(self, location: str, moved: Mapping[Span, int]) -> bytes:
        """Return the TensorProto with its bytes in the file `location`, each span at the offset `moved` gives it."""
        if self.place is None:
            return self.fields
        entries = {
            b"location": location.encode(),
            b"offset": b"%d" % moved[self.place],
            b"length": b"%d" % self.place.length,
        }
        for number, (kernel, spans) in enumerate(self.packed.items()):
            parts = [b"%d;%d;%s" % (moved[span], span.length, check) for span, check in spans]
            entries[_PACKED + b"%d" % number] = b"|".join([kernel, *parts])
        told = b"".join(
            field(_EXTERNAL_DATA, field(_ENTRY_KEY, key) + field(_ENTRY_VALUE, value)) for key, value in entries.items()
        )
        return self.fields + told + field(_DATA_LOCATION, 1)


@dataclass(frozen=True)
class LoweredGraph:
    """The model's other fields in `head`; `inputs` and `outputs` are ValueInfoProtos by name, in their order."""

    head: bytes
    nodes: tuple[LoweredNode, ...]
    weights: Mapping[bytes, LoweredWeight]
    inputs: Mapping[bytes, bytes]
    outputs: Mapping[bytes, bytes]

    def alive(self) -> LoweredGraph:
        """Return the graph without nodes that no output depends on: onnxruntime leaves some."""
        wanted, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if wanted.intersection(node.makes):
                wanted |= node.reads
                kept.append(node)
        return replace(self, nodes=tuple(reversed(kept)))

    def part(
        self, nodes: range, inputs: Mapping[bytes, bytes], outputs: Mapping[bytes, bytes], weights: list[bytes]
    ) -> bytes:
        """Return a ModelProto of some of the nodes; `weights` are TensorProtos."""
        graph: list[bytes | memoryview] = [
            *(self.nodes[index].whole for index in nodes),
            field(_GRAPH_NAME, b"block"),
            *(field(_GRAPH_TENSOR, weight) for weight in weights),
            *(field(_GRAPH_INPUT, value) for value in inputs.values()),
            *(field(_GRAPH_OUTPUT, value) for value in outputs.values()),
        ]
        return self.head + field(_MODEL_GRAPH, b"".join(graph))


def read_lowered(model: bytes) -> LoweredGraph:
    """Read a serialized ModelProto. Raises ValueError for one that cannot be cut."""
    head: list[memoryview] = []
    graph = memoryview(b"")
    for number, value, whole in pieces(memoryview(model)):
        if number == _MODEL_GRAPH:
            graph = message(value)
        else:
            head.append(whole)
    nodes: list[LoweredNode] = []
    weights: dict[bytes, LoweredWeight] = {}
    ends: dict[int, dict[bytes, bytes]] = {_GRAPH_INPUT: {}, _GRAPH_OUTPUT: {}}
    for number, value, whole in pieces(graph):
        if number == _GRAPH_NODE:
            nodes.append(_node(message(value), whole))
        elif number == _GRAPH_TENSOR:
            weight = _weight(message(value))
            weights[weight.name] = weight
        elif number in ends:
            ends[number][_text(message(value), _VALUE_NAME)] = bytes(message(value))
        elif number == _GRAPH_SPARSE:
            raise ValueError("the graph has sparse weights")
    inputs = {name: value for name, value in ends[_GRAPH_INPUT].items() if name not in weights}
    return LoweredGraph(b"".join(head), tuple(nodes), weights, inputs, ends[_GRAPH_OUTPUT])


def _node(view: memoryview, whole: memoryview) -> LoweredNode:
    reads: set[bytes] = set()
    makes: list[bytes] = []
    for number, value in fields(view):
        if number == _NODE_INPUT:
            reads.add(bytes(message(value)))
        elif number == _NODE_OUTPUT:
            makes.append(bytes(message(value)))
        elif number == _NODE_ATTRIBUTE:
            for graph in _graphs(message(value)):
                reads |= _captured(graph)
    return LoweredNode(whole, frozenset(reads - {b""}), tuple(name for name in makes if name))


def _captured(graph: memoryview) -> set[bytes]:
    """What a subgraph's nodes read and its outputs name: names made inside do no harm, they are nobody's outside."""
    names: set[bytes] = set()
    for number, value in fields(graph):
        if number == _GRAPH_NODE:
            names |= _node(message(value), message(value)).reads
        elif number == _GRAPH_OUTPUT:
            names.add(_text(message(value), _VALUE_NAME))
        elif number == _GRAPH_TENSOR and _weight(message(value)).place is not None:
            raise ValueError("a graph within the graph has weights in the external file")
    return names


def _graphs(attribute: memoryview) -> Iterator[memoryview]:
    for number, value in fields(attribute):
        if number in _ATTRIBUTE_GRAPHS:
            yield message(value)


def _weight(view: memoryview) -> LoweredWeight:
    told: dict[bytes, bytes] = {}
    kept: list[memoryview] = []
    name, external = b"", False
    for number, value, whole in pieces(view):
        if number == _EXTERNAL_DATA:
            told[_text(message(value), _ENTRY_KEY)] = _text(message(value), _ENTRY_VALUE)
        elif number == _DATA_LOCATION:
            external = 1 in integers(value)
        else:
            kept.append(whole)
            if number == _TENSOR_NAME:
                name = bytes(message(value))
    if not external:
        return LoweredWeight(name, bytes(view), None, {})
    place = Span(int(told.get(b"offset", b"0")), int(told.get(b"length", b"")))
    packed = dict(_packed(value) for key, value in told.items() if key.startswith(_PACKED))
    return LoweredWeight(name, b"".join(kept), place, packed)


def _packed(text: bytes) -> tuple[bytes, tuple[tuple[Span, bytes], ...]]:
    kernel, *parts = text.split(b"|")
    spans = []
    for part in parts:
        offset, length, check = part.split(b";")
        spans.append((Span(int(offset), int(length)), check))
    return kernel, tuple(spans)


def _text(view: memoryview, number: int) -> bytes:
    return next((bytes(message(value)) for found, value in fields(view) if found == number), b"")
