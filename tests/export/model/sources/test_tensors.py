"""Sizes that a model's tensors claim, against the bytes that they have."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import SparseTensorProto, TensorProto, helper, numpy_helper

from edge_export.model.sources.onnx_file import read_onnx
from edge_export.model.sources.tensors import check_tensors, tensors_of
from edge_runtime.errors import ModelError


def model_of(*tensors, sparse=(), nodes=()):
    return onnx.ModelProto(graph=onnx.GraphProto(initializer=tensors, sparse_initializer=sparse, node=nodes))


def sparse(places, dims=(3, 4), place_dims=None):
    values = TensorProto(name="w", data_type=1, dims=[2], float_data=[1.0, 2.0])
    flat = np.asarray(places, np.int64).reshape(-1).tolist()
    indices = TensorProto(data_type=7, dims=place_dims or np.shape(places), int64_data=flat)
    return SparseTensorProto(values=values, indices=indices, dims=dims)


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "float64", "int8", "uint8", "int64", "uint64", "bool", "complex64", "int16"]
)
def test_what_numpy_holds_passes_as_bytes_and_as_values(dtype):
    array = np.ones((2, 3), dtype)
    check_tensors(model_of(numpy_helper.from_array(array, "w")))
    check_tensors(model_of(helper.make_tensor("w", helper.np_dtype_to_tensor_dtype(array.dtype), (2, 3), array)))


@given(st.lists(st.integers(0, 5), max_size=3))
def test_four_bits_are_packed_in_pairs(dims):
    count = int(np.prod(dims))
    tensor = TensorProto(name="w", data_type=TensorProto.INT4, dims=dims, raw_data=bytes((count + 1) // 2))
    check_tensors(model_of(tensor))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (TensorProto(name="w", data_type=1, dims=[4], raw_data=b""), "has 0 bytes, expected 16"),
        (TensorProto(name="w", data_type=1, dims=[4], raw_data=bytes(15)), "has 15 bytes, expected 16"),
        (TensorProto(name="w", data_type=1, dims=[-4, -1], raw_data=bytes(16)), "none may be negative"),
        (TensorProto(name="w", data_type=1, dims=[2**62, 2**62], raw_data=bytes(16)), "expected"),
        (TensorProto(name="w", data_type=1, dims=[3], float_data=[1.0] * 5), "has 5 values, expected 3"),
        (TensorProto(name="w", data_type=0, dims=[4], raw_data=bytes(16)), "the type UNDEFINED"),
        (TensorProto(name="w", data_type=99, dims=[4], raw_data=bytes(16)), "the type 99"),
        (TensorProto(name="w", data_type=8, dims=[2], string_data=[b"a"]), "has 1 texts, expected 2"),
    ],
)
def test_a_tensor_whose_sizes_lie_is_named(tmp_path, tensor, words):
    inside = helper.make_node("Constant", [], ["c"], value=tensor)
    for model in (model_of(tensor), model_of(nodes=[inside])):
        assert [one.name for one in tensors_of(model)] == ["w"]
        with pytest.raises(ValueError, match=words):
            check_tensors(model)
    (tmp_path / "m.onnx").write_bytes(onnx.ModelProto(ir_version=8, graph=model.graph).SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx: tensor 'w' .*the file is damaged"):
        read_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize("places", [[0, 11], [[0, 0], [2, 3]]])
def test_sparse_places_within_their_sizes_pass(places):
    check_tensors(model_of(sparse=[sparse(places)]))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (sparse([0, -(2**63)]), "places outside"),
        (sparse([0, 12]), "places outside"),
        (sparse([[0, 0], [2, 4]]), "places outside"),
        (sparse([0, 1, 2]), "places of sizes"),
        (sparse([0, 1], dims=(2**40,)), "at most"),
        (sparse([0, 1], dims=(-3, 4)), "places that are no"),
    ],
)
def test_sparse_places_elsewhere_are_refused(made, words):
    with pytest.raises(ValueError, match=words):
        check_tensors(model_of(sparse=[made]))
