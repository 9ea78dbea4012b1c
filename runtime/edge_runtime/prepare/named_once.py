"""Each initializer once in a graph and in the graphs within: some onnxruntime write a subgraph's twice.

1.23 to 1.27 save a subgraph's tensors into the external file and leave them in the graph as well, under the same name,
and then refuse what they wrote. Mended in the protobuf bytes (onnx.proto3's field numbers): a device has no onnx.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_runtime.bundle.wire import Value, field, fields, message, pieces

__all__ = ["named_once"]

# message -> field number -> the message in that field
_CHILDREN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
_INITIALIZER = 5
_TENSOR_NAME, _DATA_LOCATION, _EXTERNAL = 8, 14, 1
_MAX_DEPTH = 100  # protobuf's own limit


def named_once(model: bytes) -> bytes:
    """Return the serialized ModelProto without the initializers that are external under the same name as well.

    `model` itself where there is none. Raises ValueError for bytes that are no model.
    """
    changed = _rewritten(memoryview(model), "model", 0)
    return model if changed is None else changed


def _rewritten(view: memoryview, kind: str, depth: int) -> bytes | None:
    """The message without them, None where it has none."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the graph is nested deeper than {_MAX_DEPTH} levels")
    parts, children = list(pieces(view)), _CHILDREN[kind]
    initializers = [_named(value) for number, value, _ in parts if kind == "graph" and number == _INITIALIZER]
    outside = {name for name, external in initializers if external}
    told = iter(initializers)
    kept: list[bytes | memoryview] = []
    for number, value, whole in parts:
        if kind == "graph" and number == _INITIALIZER:
            name, external = next(told)
            if external or name not in outside:
                kept.append(whole)
            continue
        child = children.get(number)
        new = _rewritten(value, child, depth + 1) if child and isinstance(value, memoryview) else None
        kept.append(whole if new is None else field(number, new))
    same = len(kept) == len(parts) and all(part is whole for part, (_, _, whole) in zip(kept, parts, strict=True))
    return None if same else b"".join(kept)


def _named(tensor: Value) -> tuple[bytes, bool]:
    """An initializer's name, and whether its values lie in another file."""
    name, external = b"", False
    for number, value in fields(message(tensor)):
        if number == _TENSOR_NAME and isinstance(value, memoryview):
            name = bytes(value)
        elif number == _DATA_LOCATION:
            external = value == _EXTERNAL
    return name, external
