"""The walk over protobuf's bytes reads what protobuf reads, or refuses."""

from __future__ import annotations

import contextlib

import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto
from wire_cases import damaged_models, five_bytes, key, long_varint, messages

from edge_runtime.bundle.external_data import _CHILDREN, check_external_data, external_tensors
from edge_runtime.bundle.wire import field, fields, integers, unused_prefix, varint


def tensors_of(message):
    """Every TensorProto in a message that protobuf parsed, wherever it is."""
    if isinstance(message, TensorProto):
        yield message
    for described, value in message.ListFields():
        if described.message_type is not None:
            for child in (value,) if isinstance(value, Message) else value:
                yield from tensors_of(child)


def places_of(model):
    """What protobuf finds of other files: the entries and whether they count, of each tensor that has any."""
    found = [tensor for tensor in tensors_of(model) if tensor.external_data or tensor.data_location]
    return [[(entry.key, entry.value) for entry in tensor.external_data] for tensor in found]


@given(damaged_models())
def test_no_tensor_that_protobuf_finds_lies_elsewhere_than_the_check_allows(data):
    try:
        check_external_data(data, "weights.bin", 100)
    except ValueError:
        return  # refused: nothing opens it
    try:
        model = ModelProto.FromString(data)
    except DecodeError:
        return
    for entries in places_of(model):
        told = dict(entries)
        assert len(told) == len(entries)
        assert told["location"] == "weights.bin"
        assert int(told.get("offset", 0)) + int(told["length"]) <= 100
    ours = [(tensor.name, tensor.data_type, tensor.dims, tensor.length) for tensor in external_tensors(data)]
    theirs = [tensor for tensor in model.graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    assert ours == [
        (tensor.name, tensor.data_type, tuple(tensor.dims), int(dict(place(tensor))["length"])) for tensor in theirs
    ]


def place(tensor):
    return [(entry.key, entry.value) for entry in tensor.external_data]


@given(messages())
def test_fields_that_protobuf_knows_are_read_alike_or_refused(data):
    try:
        found = list(fields(memoryview(data)))
    except ValueError:
        return
    entry = onnx.StringStringEntryProto()
    with contextlib.suppress(DecodeError):
        entry.ParseFromString(data)
        texts = {number: bytes(value) for number, value in found if isinstance(value, memoryview)}
        assert (texts.get(1, b"").decode(), texts.get(2, b"").decode()) == (entry.key, entry.value)


def test_the_walk_goes_wherever_a_message_can_hold_a_tensor():
    names = {
        "ModelProto": "model", "TrainingInfoProto": "training", "GraphProto": "graph", "FunctionProto": "function",
        "NodeProto": "node", "AttributeProto": "attribute", "SparseTensorProto": "sparse", "TensorProto": "tensor",
    }  # fmt: skip
    described = reachable(ModelProto.DESCRIPTOR)
    holding = {"TensorProto"}
    for _ in described:
        holding |= {one.name for one in described.values() if any(f.name in holding for _, f in inner(one))}
    assert holding == set(names)
    for name in holding - {"TensorProto"}:
        held = {number: names[f.name] for number, f in inner(described[name]) if f.name in holding}
        assert _CHILDREN[names[name]] == held


def inner(message):
    """The messages in a message's fields, by number."""
    return [(field.number, field.message_type) for field in message.fields if field.message_type is not None]


def reachable(message):
    found, waiting = {}, [message]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one
            waiting += [child for _, child in inner(one)]
    return found


def tensor_bytes(*entries, **told):
    head = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], **told).SerializeToString()
    return head + b"".join(entries)


def entry(name, value):
    return field(13, field(1, name) + field(2, value))


GOOD = (entry(b"location", b"weights.bin"), entry(b"offset", b"0"), entry(b"length", b"16"))
BAD = (entry(b"location", b"../secret.bin"), *GOOD[1:])


def model_of(tensor):
    return field(7, field(5, tensor))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        # protobuf drops the bits above 32 of a key, and sees external_data
        (
            tensor_bytes(*(five_bytes(13) + one[1:] for one in BAD)) + five_bytes(14, 0) + b"\x01",
            "no number of a field",
        ),
        # ... or reads a key of two bytes as one
        (tensor_bytes(*(long_varint(13 << 3 | 2, 3) + one[1:] for one in BAD)), "longer than it has to be"),
        # a location in another wire type is unknown to protobuf, which keeps the one before it
        (tensor_bytes(field(13, field(1, b"location") + field(2, b"../x") + key(1, 1) + b"checksum"), *GOOD), "twice"),
        (tensor_bytes(field(13, key(1, 1) + b"location" + field(2, b"weights.bin")), *GOOD[1:]), "a number where"),
        # 2^32 + 1 is 1 in 32 bits
        (tensor_bytes() + field(14, (1 << 32) + 1), r"expected 0\.\.1"),
        # packed weights are read from wherever the file says
        (tensor_bytes(*GOOD, entry(b"prepacked_0", b"k|0;16"), data_location=TensorProto.EXTERNAL), "prepacked_0"),
        (tensor_bytes(*GOOD) + field(14, 1) + field(14, 0), "its field 14 twice"),
        (tensor_bytes() + key(13, 3) + GOOD[0][2:] + key(13, 4), "unknown wire type 3"),
        (b"\x02\x00" + tensor_bytes(*GOOD), "0 is no number of a field"),
        (tensor_bytes(*GOOD) + field(1, (1 << 64) - 1), "a negative size"),
    ],
    ids=range(10),
)
def test_bytes_that_two_readers_could_take_for_two_things_are_refused(tensor, words):
    with pytest.raises(ValueError, match=words):
        check_external_data(model_of(tensor), "weights.bin", 100)


def test_a_tensor_told_in_two_parts_that_protobuf_joins_is_refused():
    halves = field(5, tensor_bytes(*GOOD)) + field(5, tensor_bytes(entry(b"offset", b"90")))
    data = field(7, field(1, field(5, halves)))
    assert len(ModelProto.FromString(data).graph.node[0].attribute[0].t.external_data) == 4
    with pytest.raises(ValueError, match="attribute has its field 5 twice"):
        check_external_data(data, "weights.bin", 100)
    sparse = GraphProto(sparse_initializer=[SparseTensorProto(values=TensorProto(name="a"))]).SerializeToString()
    check_external_data(field(7, sparse), "weights.bin", 100)


def test_the_good_form_of_these_passes():
    check_external_data(model_of(tensor_bytes(*GOOD, data_location=TensorProto.EXTERNAL)), "weights.bin", 16)
    attribute = AttributeProto(name="a", t=TensorProto.FromString(tensor_bytes(*GOOD)))
    node = NodeProto(op_type="Constant", attribute=[attribute]).SerializeToString()
    check_external_data(field(7, field(1, node)), "weights.bin", 16)


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_read_as_it_is_written(number):
    written = field(1, number)
    assert list(fields(memoryview(written))) == [(1, number)]


@given(st.integers(0, 2**56 - 1), st.integers(1, 2))
def test_a_number_longer_than_it_has_to_be_is_refused(number, more):
    shortest = len(field(1, number)) - 1
    with pytest.raises(ValueError, match=r"longer than it has to be|does not end"):
        varint(memoryview(long_varint(number, shortest + more)), 0)


def test_a_number_of_more_than_64_bits_is_refused():
    with pytest.raises(ValueError, match="longer than it has to be"):
        varint(memoryview(b"\xff" * 9 + b"\x02"), 0)
    assert varint(memoryview(b"\xff" * 9 + b"\x01"), 0) == (2**64 - 1, 10)


def test_fixed_bytes_are_no_integers_and_no_text():
    ((_, value),) = fields(memoryview(key(1, 5) + b"\x01\x02\x03\x04"))
    with pytest.raises(ValueError, match="a number where a message"):
        integers(value)


@given(st.binary(max_size=40), st.integers(0, 5))
def test_a_prefix_that_occurs_nowhere_is_found(rest, underscores):
    model = rest + b"own_" + b"_" * underscores + rest
    prefix = unused_prefix(model, b"own_")
    assert prefix not in model
    assert prefix.rstrip(b"_") == b"own"
