"""Graphs that want to read other files than their own weights."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny_bundle import make_bundle

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.external_data import ExternalTensor, check_external_data, external_tensors
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.errors import BundleError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("pristine"))


def external(location="weights.bin", offset="0", length="64", name="w"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[16], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    return tensor


def model_with(tensor, nodes=(), functions=()):
    graph = onnx.GraphProto(name="g", node=nodes, initializer=[tensor] if tensor else [])
    return onnx.ModelProto(ir_version=9, graph=graph, functions=functions).SerializeToString()


def test_the_exporters_own_graphs_pass(pristine):
    size = (pristine / "weights.bin").stat().st_size
    graphs = sorted(pristine.glob("*.onnx"))
    assert len(graphs) >= 4
    for path in graphs:
        assert b"weights.bin" in path.read_bytes()
        check_external_data(path.read_bytes(), "weights.bin", size)
        with pytest.raises(ValueError, match="which has 100"):
            check_external_data(path.read_bytes(), "weights.bin", 100)


@pytest.mark.parametrize("name", ["model.onnx", "block-01.onnx"])
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "golden.npz", "", "*/_ORT_MEM_ADDR_/*"])
def test_a_consistent_bundle_that_reads_another_file_is_refused(pristine, tmp_path, name, location):
    bundle = shutil.copytree(pristine, tmp_path / "b.edge")
    model = onnx.load(bundle / name, load_external_data=False)
    outside = next(weight for weight in model.graph.initializer if weight.external_data)
    next(entry for entry in outside.external_data if entry.key == "location").value = location
    data = model.SerializeToString()
    (bundle / name).write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["digest"] = UNSEALED
    (bundle / "manifest.json").write_bytes(seal(json.dumps(manifest).encode()))
    with pytest.raises(BundleError, match=r"expected 'weights\.bin'"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (external(offset="40"), "takes bytes 40..104"),
        (external(offset="-1"), "expected a number"),
        (external(length="9" * 30), "expected a number"),
        (external(length=None), "expected a number"),
        (external(location=None), "no named file"),
        (TensorProto(name="w", data_location=TensorProto.EXTERNAL), "no named file"),
    ],
)
def test_a_tensor_outside_the_weights_is_refused(tensor, words):
    with pytest.raises(ValueError, match=words):
        check_external_data(model_with(tensor), "weights.bin", 100)


def test_a_location_told_twice_is_refused():
    tensor = external("../x")
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(ValueError, match="'location' twice"):
        check_external_data(model_with(tensor), "weights.bin", 100)


def places(tensor):
    """Every place of a model, beside the main graph's initializers, that can hold a tensor."""
    inner = onnx.GraphProto(name="inner", initializer=[tensor])
    sparse = onnx.SparseTensorProto(values=tensor)
    attributes = {
        "tensor": helper.make_attribute("a", tensor),
        "tensors": onnx.AttributeProto(name="a", type=onnx.AttributeProto.TENSORS, tensors=[tensor]),
        "graph": helper.make_attribute("a", inner),
        "graphs": helper.make_attribute("a", [inner]),
        "sparse": onnx.AttributeProto(name="a", type=onnx.AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse),
        "sparse tensors": onnx.AttributeProto(name="a", sparse_tensors=[sparse]),
    }
    for attribute in attributes.values():
        node = onnx.NodeProto(op_type="If", attribute=[attribute])
        yield model_with(None, nodes=[node])
        yield model_with(None, functions=[onnx.FunctionProto(name="f", node=[node])])
        yield model_with(None, functions=[onnx.FunctionProto(name="f", attribute_proto=[attribute])])
    for sparse_graph in (
        onnx.GraphProto(sparse_initializer=[sparse]),
        onnx.GraphProto(sparse_initializer=[onnx.SparseTensorProto(indices=tensor)]),
    ):
        yield onnx.ModelProto(graph=sparse_graph).SerializeToString()
    for training in (onnx.TrainingInfoProto(initialization=inner), onnx.TrainingInfoProto(algorithm=inner)):
        yield onnx.ModelProto(training_info=[training]).SerializeToString()


def test_tensors_are_found_wherever_a_model_can_hold_them():
    for good, bad in zip(places(external()), places(external("../x")), strict=True):
        check_external_data(good, "weights.bin", 64)
        with pytest.raises(ValueError, match=r"'\.\./x'"):
            check_external_data(bad, "weights.bin", 64)


def test_graphs_nested_without_end_are_refused():
    graph = onnx.GraphProto(name="g")
    data = graph.SerializeToString()
    for _ in range(40):  # each level is a graph, a node and an attribute

        def field(number, content):
            length, size = b"", len(content)
            while size > 127:
                length, size = length + bytes([size & 127 | 128]), size >> 7
            return bytes([number << 3 | 2]) + length + bytes([size]) + content

        data = field(1, field(5, field(6, data)))
    with pytest.raises(ValueError, match="nested deeper"):
        check_external_data(field(7, data), "weights.bin", 64)


@pytest.mark.parametrize("data", [b"\x3a", b"\x3a\x05abc", b"\xff" * 11, b"\x3b", b"\x38\x01", b"\x3a\x02\x2a\x7f"])
def test_what_is_no_protobuf_is_refused(data):
    with pytest.raises(ValueError, match="damaged"):
        check_external_data(data, "weights.bin", 64)


@given(st.binary(max_size=300))
def test_any_bytes_pass_or_are_refused(data):
    with contextlib.suppress(ValueError):  # anything else is a bug
        check_external_data(data, "weights.bin", 64)


@given(st.data())
def test_a_damaged_graph_passes_or_is_refused(data):
    damaged = bytearray(
        model_with(external(), nodes=[onnx.NodeProto(attribute=[helper.make_attribute("a", external())])])
    )
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        check_external_data(bytes(damaged), "weights.bin", 64)


def as_onnx_sees(data):
    """The main graph's external initializers, read by onnx itself."""
    found = []
    for tensor in onnx.load_from_string(data).graph.initializer:
        told = {entry.key: entry.value for entry in tensor.external_data}
        if tensor.data_location == TensorProto.EXTERNAL:
            offset, length = int(told.get("offset", 0)), int(told["length"])
            found.append(ExternalTensor(tensor.name, tensor.data_type, tuple(tensor.dims), offset, length))
    return found


def unpacked(tensor):
    """The tensor as bytes with its dims as single fields, as protobuf 2 writes repeated numbers."""
    dims = list(tensor.dims)
    rest = TensorProto()
    rest.CopyFrom(tensor)
    del rest.dims[:]
    return b"".join(b"\x08" + varint(dim) for dim in dims) + rest.SerializeToString()


def varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def packed(tensor):
    """The tensor as bytes with its dims in one field."""
    rest = TensorProto()
    rest.CopyFrom(tensor)
    del rest.dims[:]
    dims = b"".join(varint(dim) for dim in tensor.dims)
    return b"\x0a" + varint(len(dims)) + dims + rest.SerializeToString()


def model_of(tensors):
    graph = b"".join(b"\x2a" + varint(len(tensor)) + tensor for tensor in tensors)
    return b"\x08\x09\x3a" + varint(len(graph)) + graph


@st.composite
def tensors(draw):
    dims = draw(st.lists(st.integers(0, 2**40), max_size=4))
    tensor = TensorProto(name=draw(st.text(max_size=8)), data_type=draw(st.integers(0, 25)), dims=dims)
    if draw(st.booleans()):
        tensor.raw_data = draw(st.binary(max_size=8))
        return tensor
    tensor.data_location = TensorProto.EXTERNAL
    entries = [("location", "weights.bin"), ("length", str(draw(st.integers(0, 2**60))))]
    entries += [("offset", str(draw(st.integers(0, 2**60))))] if draw(st.booleans()) else []
    for key, value in draw(st.permutations(entries)):
        tensor.external_data.add(key=key, value=value)
    return tensor


@given(st.lists(tensors(), max_size=4), st.booleans())
def test_external_tensors_are_found_as_onnx_finds_them(found, pack):
    data = model_of([(packed if pack else unpacked)(tensor) for tensor in found])
    assert external_tensors(data) == as_onnx_sees(data)
    written = onnx.ModelProto(ir_version=9, graph=onnx.GraphProto(initializer=found)).SerializeToString()
    assert external_tensors(written) == as_onnx_sees(written)


def test_the_external_tensors_of_the_exporters_graphs_are_what_onnx_sees(pristine):
    for path in sorted(pristine.glob("*.onnx")):
        assert external_tensors(path.read_bytes()) == as_onnx_sees(path.read_bytes()) != []


def test_external_tensors_of_subgraphs_functions_and_training_are_not_the_graphs_own():
    for data in places(external()):
        assert external_tensors(data) == []
    inner = onnx.GraphProto(name="inner", initializer=[external(name="inner")])
    node = onnx.NodeProto(op_type="If", attribute=[helper.make_attribute("then_branch", inner)])
    assert [tensor.name for tensor in external_tensors(model_with(external(name="outer"), nodes=[node]))] == ["outer"]


def test_a_graph_that_comes_in_two_parts_is_read_as_one_and_refused_in_a_bundle():
    data = model_with(external(name="a")) + model_with(external(name="b", offset="64"))
    assert external_tensors(data) == as_onnx_sees(data)
    assert len(external_tensors(data)) == 2
    with pytest.raises(ValueError, match="model has its field 7 twice"):
        check_external_data(data, "weights.bin", 200)


@pytest.mark.parametrize("tensor", [external(length=None), external(length="-1"), external(offset="x")])
def test_an_external_tensor_without_its_place_is_refused(tensor):
    with pytest.raises(ValueError, match="expected a number"):
        external_tensors(model_with(tensor))


@given(st.binary(max_size=300))
def test_any_bytes_have_external_tensors_or_are_refused(data):
    with contextlib.suppress(ValueError):  # anything else is a bug
        external_tensors(data)


@given(st.data())
def test_a_damaged_graph_has_external_tensors_or_is_refused(data):
    damaged = bytearray(model_with(external()))
    for _ in range(3):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        external_tensors(bytes(damaged))
