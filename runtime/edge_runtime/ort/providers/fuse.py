"""Neighbouring blocks as one ONNX graph, put together from their bytes: there is no onnx package on a device.

Field numbers: onnx.proto3. Weights stay where they are, in the external file that each tensor names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from edge_runtime.bundle.wire import field, fields
from edge_runtime.errors import ModelError

__all__ = ["fuse"]

_MODEL_GRAPH, _MODEL_OPSETS, _MODEL_FUNCTIONS = 7, 8, 25
_NODE, _NAME, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO, _QUANTIZATION, _SPARSE = 1, 2, 5, 11, 12, 13, 14, 15
_VALUE_NAME, _TENSOR_NAME, _SPARSE_VALUES = 1, 8, 1


def fuse(models: Sequence[bytes], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return one serialized ModelProto that does what `models` (blocks cut from one graph) do one after another.

    `inputs` and `outputs` are the values that enter and leave all of them together. A tensor that several blocks have
    is there once. Raises ModelError for blocks that do not fit together.
    """
    try:
        return _fuse(models, inputs, outputs)
    except ValueError as error:
        raise ModelError(f"the blocks cannot be joined: {error}; export the bundle again with edge-export") from error


def _fuse(models: Sequence[bytes], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    heads = [list(_head(model)) for model in models]
    opsets = [sorted(bytes(value) for value in _of(head, _MODEL_OPSETS)) for head in heads]
    if any(other != opsets[0] for other in opsets):
        raise ValueError("they use different operator sets")
    graphs = [list(_graph(model)) for model in models]
    known = _values(graphs)
    if strangers := [name for name in (*inputs, *outputs) if name not in known]:
        raise ValueError(f"no block has the value {strangers[0]!r}")
    body = [
        *(field(_NODE, node) for graph in graphs for node in _of(graph, _NODE)),
        *(field(_NAME, name) for name in _of(graphs[0], _NAME)),
        *_once(graphs, _INITIALIZER, _tensor_name),
        *(field(_INPUT, known[name]) for name in inputs),
        *(field(_OUTPUT, known[name]) for name in outputs),
        *(field(_VALUE_INFO, value) for name, value in known.items() if name not in {*inputs, *outputs}),
        *_once(graphs, _QUANTIZATION, _value_name),
        *_once(graphs, _SPARSE, _sparse_name),
    ]
    functions = dict.fromkeys(bytes(value) for head in heads for value in _of(head, _MODEL_FUNCTIONS))
    return b"".join(
        [
            *(field(number, value) for number, value in heads[0] if number != _MODEL_FUNCTIONS),
            field(_MODEL_GRAPH, b"".join(body)),
            *(field(_MODEL_FUNCTIONS, function) for function in functions),
        ]
    )


_Graph = list[tuple[int, memoryview]]


def _head(model: bytes) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a model beside its graph, which are all numbers, messages or strings."""
    for number, value in fields(memoryview(model)):
        if number != _MODEL_GRAPH and value is not None:
            yield number, value


def _graph(model: bytes) -> Iterator[tuple[int, memoryview]]:
    """The fields of a model's graph, which are all messages or strings."""
    for number, graph in fields(memoryview(model)):
        if number == _MODEL_GRAPH and isinstance(graph, memoryview):
            yield from ((inner, value) for inner, value in fields(graph) if isinstance(value, memoryview))


def _of(message: Iterable[tuple[int, int | memoryview]], kind: int) -> list[memoryview]:
    """The values of one field."""
    return [value for number, value in message if number == kind and isinstance(value, memoryview)]


def _values(graphs: Sequence[_Graph]) -> dict[str, memoryview]:
    """Type and shape of every value that a block tells: as who makes it says, else as who reads it."""
    known: dict[str, memoryview] = {}
    for kind in (_OUTPUT, _VALUE_INFO, _INPUT):
        for value in (value for graph in graphs for value in _of(graph, kind)):
            known.setdefault(_value_name(value), value)
    return known


def _once(graphs: Sequence[_Graph], kind: int, named: Callable[[memoryview], str]) -> list[bytes]:
    """A field of all graphs, once for each name; two that have a name in common have to be the same."""
    found: dict[str, memoryview] = {}
    for value in (value for graph in graphs for value in _of(graph, kind)):
        if found.setdefault(named(value), value) != value:
            raise ValueError(f"two blocks have different tensors {named(value)!r}")
    return [field(kind, value) for value in found.values()]


def _value_name(value: memoryview) -> str:
    return _text(value, _VALUE_NAME)


def _tensor_name(tensor: memoryview) -> str:
    return _text(tensor, _TENSOR_NAME)


def _sparse_name(sparse: memoryview) -> str:
    """A sparse tensor is called by its values' name."""
    values = next((value for number, value in fields(sparse) if number == _SPARSE_VALUES), None)
    return _tensor_name(values) if isinstance(values, memoryview) else ""


def _text(message: memoryview, wanted: int) -> str:
    found = b""
    for number, value in fields(message):  # of two, protobuf takes the last
        if number == wanted and isinstance(value, memoryview):
            found = bytes(value)
    return found.decode("utf-8", "backslashreplace")
