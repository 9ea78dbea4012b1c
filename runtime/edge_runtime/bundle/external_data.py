"""Which file a graph's external tensors lie in, read from the protobuf bytes before onnxruntime opens that file.

Walks only where an ONNX ModelProto can hold a TensorProto (onnx.proto3's field numbers) and skips the rest. What
protobuf would join or drop (a field told twice, or in another wire type than its own) is refused where it matters, so
that there is one reading: onnxruntime before 1.24.1 opens whatever file a tensor names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.bundle.wire import Value, fields, integers, message

__all__ = ["ExternalTensor", "check_external_data", "external_tensors"]

_MAX_DEPTH = 100  # protobuf's own limit
_INLINE, _EXTERNAL = 0, 1

# message -> field number -> the message in that field
_CHILDREN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
# Of these, the fields that a message has once.
_SINGULAR: Mapping[str, frozenset[int]] = {
    "model": frozenset({7}),
    "training": frozenset({1, 2}),
    "attribute": frozenset({5, 6, 22}),
    "sparse": frozenset({1, 2}),
}
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_MOST_DIM, _MOST_TYPE = (1 << 63) - 1, (1 << 31) - 1
# onnxruntime knows more (a checksum, places of packed weights), which no bundle needs.
_KEYS = frozenset({b"location", b"offset", b"length"})


@dataclass(frozen=True)
class ExternalTensor:
    """An initializer whose `length` bytes lie at `offset` of another file; `data_type` as in onnx.TensorProto."""

    name: str
    data_type: int
    dims: tuple[int, ...]
    offset: int
    length: int


@dataclass(frozen=True)
class _Tensor:
    """What a TensorProto says of where its bytes are; `told` is its external_data, `external` its data_location."""

    name: bytes
    data_type: int
    dims: tuple[int, ...]
    told: Mapping[bytes, bytes]
    external: bool

    def place(self) -> tuple[int, int]:
        """Offset and length in the file."""
        return _number(self.told.get(b"offset", b"0")), _number(self.told.get(b"length", b""))


def external_tensors(model: bytes) -> list[ExternalTensor]:
    """Return the external initializers of a serialized ModelProto's graph (not those of its subgraphs).

    Raises ValueError for bytes that are no ModelProto.
    """
    found = []
    for number, graph in fields(memoryview(model)):
        if number != _MODEL_GRAPH:
            continue
        for field, tensor in fields(message(graph)):
            if field == _GRAPH_INITIALIZER:
                found += _external(_read(message(tensor)))
    return found


def _external(tensor: _Tensor) -> list[ExternalTensor]:
    if not tensor.external:
        return []
    name = tensor.name.decode("utf-8", "backslashreplace")
    return [ExternalTensor(name, tensor.data_type, tensor.dims, *tensor.place())]


def check_external_data(model: bytes, location: str, size: int) -> None:
    """Check that every external tensor of a serialized ModelProto lies within the `size` bytes of file `location`.

    Raises ValueError, also for bytes that are no ModelProto.
    """
    _walk(memoryview(model), "model", location, size, 0)


def _walk(view: memoryview, kind: str, location: str, size: int, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"the graph is nested deeper than {_MAX_DEPTH} levels")
    if kind == "tensor":
        _check(_read(view), location, size)
        return
    children, once = _CHILDREN[kind], _SINGULAR.get(kind, frozenset())
    seen: set[int] = set()
    for number, value in fields(view):
        child = children.get(number)
        if child is None:
            continue
        if not isinstance(value, memoryview):
            raise ValueError(f"the graph is damaged: field {number} of {kind} is no message")
        if number in once:
            _once(seen, number, kind)
        _walk(value, child, location, size, depth + 1)


def _check(tensor: _Tensor, location: str, size: int) -> None:
    told = tensor.told
    if not told and not tensor.external:
        return
    if told.get(b"location") != location.encode():
        found = repr(_text(told[b"location"])) if b"location" in told else "no named file"
        raise ValueError(f"a tensor lies in {found}, expected {location!r}")
    if strangers := sorted(told.keys() - _KEYS):
        raise ValueError(
            f"a tensor's external_data has the key {_text(strangers[0])!r}, expected location, offset, length"
        )
    offset, length = tensor.place()
    if offset + length > size:
        raise ValueError(f"a tensor takes bytes {offset}..{offset + length} of {location}, which has {size}")


def _read(view: memoryview) -> _Tensor:
    name, data_type, location = b"", 0, _INLINE
    dims: list[int] = []
    told: dict[bytes, bytes] = {}
    seen: set[int] = set()
    for number, value in fields(view):
        if number == _DIMS:
            dims += integers(value)
        elif number == _EXTERNAL_DATA:
            key, text = _entry(message(value))
            if key in told:
                raise ValueError(f"a tensor's external_data has the key {_text(key)!r} twice")
            told[key] = text
        elif number in (_DATA_TYPE, _NAME, _DATA_LOCATION):
            _once(seen, number, "tensor")
            if number == _DATA_TYPE:
                data_type = _at_most(value, _MOST_TYPE)
            elif number == _NAME:
                name = bytes(message(value))
            else:
                location = _at_most(value, _EXTERNAL)
    if any(dim > _MOST_DIM for dim in dims):
        raise ValueError("the graph is damaged: a tensor has a negative size")
    return _Tensor(name, data_type, tuple(dims), told, location == _EXTERNAL)


def _entry(view: memoryview) -> tuple[bytes, bytes]:
    texts: dict[int, bytes] = {}
    for number, value in fields(view):
        if number in (_ENTRY_KEY, _ENTRY_VALUE):
            if number in texts:
                raise ValueError("the graph is damaged: an entry of external_data has its key or its value twice")
            texts[number] = bytes(message(value))
    return texts.get(_ENTRY_KEY, b""), texts.get(_ENTRY_VALUE, b"")


def _once(seen: set[int], number: int, kind: str) -> None:
    if number in seen:
        raise ValueError(f"the graph is damaged: {kind} has its field {number} twice")
    seen.add(number)


def _at_most(value: Value, most: int) -> int:
    if not isinstance(value, int) or value > most:
        raise ValueError(f"the graph is damaged: {value if isinstance(value, int) else 'bytes'}, expected 0..{most}")
    return value


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise ValueError(f"a tensor's offset or length is {text[:30]!r}, expected a number")
    return int(text)


def _text(name: bytes) -> str:
    return name[:200].decode("utf-8", "backslashreplace")
