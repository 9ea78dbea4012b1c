"""Which file a graph's external tensors lie in, read from the protobuf bytes before onnxruntime opens that file.

Walks only where an ONNX ModelProto can hold a TensorProto (onnx.proto3's field numbers) and skips the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.bundle.wire import fields, integers

__all__ = ["ExternalTensor", "check_external_data", "external_tensors"]

_MAX_DEPTH = 100  # protobuf's own limit
_EXTERNAL = 1

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
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_DIMS, _TENSOR_DATA_TYPE, _TENSOR_NAME = 1, 2, 8
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


@dataclass(frozen=True)
class ExternalTensor:
    """An initializer whose `length` bytes lie at `offset` of another file; `data_type` as in onnx.TensorProto."""

    name: str
    data_type: int
    dims: tuple[int, ...]
    offset: int
    length: int


def external_tensors(model: bytes) -> list[ExternalTensor]:
    """Return the external initializers of a serialized ModelProto's graph (not those of its subgraphs).

    Raises ValueError for bytes that are no ModelProto.
    """
    found = []
    for number, graph in fields(memoryview(model)):
        if number != _MODEL_GRAPH or not isinstance(graph, memoryview):
            continue
        for field, tensor in fields(graph):
            if field == _GRAPH_INITIALIZER and isinstance(tensor, memoryview):
                found += _external(tensor)
    return found


def _external(tensor: memoryview) -> list[ExternalTensor]:
    name, data_type, dims, told, external = "", 0, [], {}, False
    for number, value in fields(tensor):
        if number == _TENSOR_DIMS:
            dims += integers(value)
        elif number == _TENSOR_DATA_TYPE and isinstance(value, int):
            data_type = value
        elif number == _TENSOR_NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "backslashreplace")
        elif number == _TENSOR_DATA_LOCATION:
            external = value == _EXTERNAL
        elif number == _TENSOR_EXTERNAL_DATA and isinstance(value, memoryview):
            texts = {key: bytes(text) for key, text in fields(value) if isinstance(text, memoryview)}
            told[texts.get(_ENTRY_KEY, b"")] = texts.get(_ENTRY_VALUE, b"")
    if not external:
        return []
    offset, length = _number(told.get(b"offset", b"0")), _number(told.get(b"length", b""))
    return [ExternalTensor(name, data_type, tuple(dims), offset, length)]


def check_external_data(model: bytes, location: str, size: int) -> None:
    """Check that every external tensor of a serialized ModelProto lies within the `size` bytes of file `location`.

    Raises ValueError, also for bytes that are no ModelProto.
    """
    _walk(memoryview(model), "model", location, size, 0)


def _walk(view: memoryview, kind: str, location: str, size: int, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"the graph is nested deeper than {_MAX_DEPTH} levels")
    if kind == "tensor":
        _check_tensor(view, location, size)
        return
    children = _CHILDREN[kind]
    for number, value in fields(view):
        child = children.get(number)
        if child is None:
            continue
        if not isinstance(value, memoryview):
            raise ValueError(f"the graph is damaged: field {number} of a {kind} is no message")
        _walk(value, child, location, size, depth + 1)


def _check_tensor(view: memoryview, location: str, size: int) -> None:
    entries: list[tuple[bytes, bytes]] = []
    external = False
    for number, value in fields(view):
        if number == _TENSOR_EXTERNAL_DATA and isinstance(value, memoryview):
            texts = {key: bytes(text) for key, text in fields(value) if isinstance(text, memoryview)}
            entries.append((texts.get(_ENTRY_KEY, b""), texts.get(_ENTRY_VALUE, b"")))
        elif number == _TENSOR_DATA_LOCATION:
            external = value == _EXTERNAL
    if not entries and not external:
        return
    told = dict(entries)
    if len(told) != len(entries) or told.get(b"location") != location.encode():
        found = [value.decode("utf-8", "backslashreplace") for key, value in entries if key == b"location"]
        raise ValueError(f"a tensor lies in {', '.join(map(repr, found)) or 'no named file'}, expected {location!r}")
    offset, length = _number(told.get(b"offset", b"0")), _number(told.get(b"length", b""))
    if offset + length > size:
        raise ValueError(f"a tensor takes bytes {offset}..{offset + length} of {location}, which has {size}")


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise ValueError(f"a tensor's offset or length is {text[:30]!r}, expected a number")
    return int(text)
