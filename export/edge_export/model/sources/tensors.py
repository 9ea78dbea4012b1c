"""The tensors of a model that somebody gave, and whether each holds as many bytes as its sizes say.

Looked at once where the model is read, so that nothing behind meets sizes that are not true.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

__all__ = ["check_tensors", "tensors_of"]

# Bits of one element by the name of its type; onnx' own table lacks types of other versions.
_BITS = {
    "FLOAT": 32, "UINT8": 8, "INT8": 8, "UINT16": 16, "INT16": 16, "INT32": 32, "INT64": 64, "BOOL": 8, "FLOAT16": 16,
    "DOUBLE": 64, "UINT32": 32, "UINT64": 64, "COMPLEX64": 64, "COMPLEX128": 128, "BFLOAT16": 16, "FLOAT8E4M3FN": 8,
    "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8, "FLOAT8E5M2FNUZ": 8, "FLOAT8E8M0": 8, "UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4,
    "UINT2": 2, "INT2": 2,
}  # fmt: skip

_MOST_FILLED = 1 << 29  # 2 GB of FP32, as much as an ONNX file holds


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a model: of its graphs, attributes, functions, and the parts of sparse ones."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def check_tensors(model: onnx.ModelProto) -> None:
    """Check types and sizes of all tensors against their bytes. Raises ValueError naming the first that lies."""
    for tensor in tensors_of(model):
        _check(tensor)
    for sparse in _sparse_of(model.graph):
        _check_sparse(sparse)


def _check(tensor: onnx.TensorProto) -> None:
    dims = tuple(tensor.dims)
    if any(dim < 0 for dim in dims):
        raise ValueError(f"tensor {tensor.name!r} has the sizes {list(dims)}, none may be negative")
    count = math.prod(dims)
    if tensor.data_type == TensorProto.STRING:
        _expect(tensor, len(tensor.string_data), count, "texts")
        return
    kind = {number: name for name, number in TensorProto.DataType.items()}.get(tensor.data_type, "")
    if kind not in _BITS:
        raise ValueError(f"tensor {tensor.name!r} has the type {kind or tensor.data_type}, which is none of a tensor's")
    bits = _BITS[kind]
    if tensor.HasField("raw_data"):
        _expect(tensor, len(tensor.raw_data), (count * bits + 7) // 8, "bytes")
        return
    held = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    wanted = 2 * count if kind.startswith("COMPLEX") else (count * bits + 7) // 8 if bits < 8 else count
    _expect(tensor, sum(map(len, held)), wanted, "values")


def _expect(tensor: onnx.TensorProto, found: int, wanted: int, what: str) -> None:
    if found != wanted:
        sizes = list(tensor.dims)
        raise ValueError(f"tensor {tensor.name!r} of sizes {sizes} has {found} {what}, expected {wanted}")


def _check_sparse(sparse: onnx.SparseTensorProto) -> None:
    name, dims = sparse.values.name, tuple(sparse.dims)
    if any(dim < 0 for dim in dims) or sparse.indices.data_type != TensorProto.INT64 or len(sparse.values.dims) != 1:
        raise ValueError(f"sparse tensor {name!r} has the sizes {list(dims)} or places that are no integers of 64 bits")
    if math.prod(dims) > _MOST_FILLED:
        raise ValueError(f"sparse tensor {name!r} has {math.prod(dims)} elements, at most {_MOST_FILLED} can be filled")
    count, rank = sparse.values.dims[0], len(dims)
    if tuple(sparse.indices.dims) not in ((count,), (count, rank)):
        raise ValueError(f"sparse tensor {name!r} has places of sizes {list(sparse.indices.dims)} for {count} values")
    places = numpy_helper.to_array(sparse.indices)
    ends = math.prod(dims) if places.ndim == 1 else dims
    if ((places < 0) | (places >= ends)).any():
        raise ValueError(f"sparse tensor {name!r} has places outside its sizes {list(dims)}")


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        yield from attribute.tensors
        for graph in _graphs(attribute):
            yield from _of_graph(graph)


def _sparse_of(graph: onnx.GraphProto) -> Iterator[onnx.SparseTensorProto]:
    yield from graph.sparse_initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for inner in _graphs(attribute):
            yield from _sparse_of(inner)


def _graphs(attribute: onnx.AttributeProto) -> Iterator[onnx.GraphProto]:
    if attribute.type == AttributeProto.GRAPH:
        yield attribute.g
    yield from attribute.graphs
