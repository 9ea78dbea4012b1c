"""Bytes that are nearly protobuf: models as protobuf writes them, and then not quite."""

from __future__ import annotations

from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

__all__ = ["damaged_models", "five_bytes", "key", "long_varint", "messages"]


def key(number: int, wire: int) -> bytes:
    """A field's number and wire type, for numbers under 16."""
    return bytes([number << 3 | wire])


def long_varint(value: int, size: int) -> bytes:
    """A number in `size` bytes, whatever it needs."""
    parts = [value >> 7 * place & 0x7F | 0x80 for place in range(size)]
    return bytes([*parts[:-1], parts[-1] & 0x7F])


def five_bytes(number: int, wire: int = 2) -> bytes:
    """A key with a bit above 32, which protobuf's C++ drops."""
    return long_varint(1 << 32 | number << 3 | wire, 5)


def _external(location: str, offset: int = 0, length: int = 16, name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    for told, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=told, value=value)
    return tensor


def _models() -> list[bytes]:
    inside, outside = _external("weights.bin"), _external("../secret.bin", name="x")
    graphs = []
    for tensor in (inside, outside):
        inner = GraphProto(name="inner", initializer=[tensor])
        node = NodeProto(
            op_type="If", attribute=[helper.make_attribute("a", inner), helper.make_attribute("t", tensor)]
        )
        graphs += [
            GraphProto(name="g", initializer=[tensor]),
            GraphProto(name="g", node=[node]),
            GraphProto(name="g", sparse_initializer=[SparseTensorProto(values=tensor, dims=[4])]),
        ]
    return [ModelProto(ir_version=9, graph=graph).SerializeToString() for graph in graphs]


_PIECES = (five_bytes(13), five_bytes(14, 0), long_varint(106, 2), long_varint(112, 3), b"\x00", b"\x6b", b"\x6c")


@st.composite
def damaged_models(draw: st.DrawFn) -> bytes:
    """A model's bytes after a few changes: a byte, a piece cut out, repeated or put in, a key written otherwise."""
    data = bytearray(draw(st.sampled_from(_models())))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data) - 1))
        size = draw(st.integers(1, 12))
        kind = draw(st.sampled_from(("byte", "cut", "repeat", "put", "key", "bit")))
        if kind == "byte":
            data[place] = draw(st.sampled_from((0, 1, 2, 7, 13, 14, 0x2A, 0x3A, 0x6A, 0x70, 0x7F, 0x80, 0xFF)))
        elif kind == "bit":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut" and len(data) > size:
            del data[place : place + size]
        elif kind == "repeat":
            data[place:place] = data[place : place + size]
        elif kind == "put":
            data[place:place] = draw(st.sampled_from(_PIECES))
        elif data[place] < 0x80:
            data[place : place + 1] = long_varint(data[place] | draw(st.sampled_from((0, 1 << 32))), 5)
        data = data or bytearray(b"\x00")
    return bytes(data)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Fields of StringStringEntryProto's numbers in any wire type, some of them longer than they have to be."""
    out = b""
    for _ in range(draw(st.integers(0, 5))):
        number, wire = draw(st.integers(0, 3)), draw(st.integers(0, 5))
        bits = draw(st.sampled_from((0, 1 << 32)))
        out += long_varint(bits | number << 3 | wire, 5 if bits else draw(st.sampled_from((1, 1, 1, 2, 5))))
        if wire == 0:
            out += long_varint(draw(st.integers(0, 127)), draw(st.sampled_from((1, 2))))
        elif wire == 2:
            text = draw(st.text("ab/.", max_size=6)).encode()
            out += long_varint(len(text), draw(st.sampled_from((1, 1, 2)))) + text
        elif wire in (1, 5):
            out += b"abcdefgh"[: 8 if wire == 1 else 4]
    return out
