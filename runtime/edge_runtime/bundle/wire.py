"""protobuf's wire format, read and written field by field, where no protobuf library is.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["field", "fields", "integers", "message", "pieces", "varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of one message: number and value, an int of a varint, else the bytes.

    Raises ValueError for bytes that are no message.
    """
    return ((number, value) for number, value, _ in pieces(view))


def pieces(view: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Yield what `fields` does and each field whole, number included: joined again they are the message."""
    position, end = 0, len(view)
    while position < end:
        start = position
        key, position = varint(view, position)
        wire = key & 7
        if wire == _VARINT:
            value, position = varint(view, position)
            yield key >> 3, value, view[start:position]
            continue
        if wire == _BYTES:
            length, position = varint(view, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"the graph is damaged: unknown wire type {wire}")
        if length > end - position:
            raise ValueError(f"the graph is damaged: a field of {length} bytes in {end - position}")
        position += length
        yield key >> 3, view[position - length : position], view[start:position]


def integers(value: int | memoryview) -> list[int]:
    """Return a repeated integer field: one value, or many packed as bytes. Raises ValueError."""
    if isinstance(value, int):
        return [value]
    numbers, position = [], 0
    while position < len(value):
        number, position = varint(value, position)
        numbers.append(number)
    return numbers


def message(value: int | memoryview) -> memoryview:
    """Return a field's value that is a message, or a text. Raises ValueError for a number."""
    if isinstance(value, int):
        raise ValueError("the graph is damaged: a number where a message was expected")
    return value


def varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the number at `position`, and where the next field begins. Raises ValueError for one without an end."""
    if position < len(view) and (byte := view[position]) < 0x80:  # nearly all: a start reads thousands
        return byte, position + 1
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(view):
            break
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("the graph is damaged: a number does not end")


def field(number: int, value: int | bytes | memoryview) -> bytes:
    """Return one field of a message: a varint, or bytes with their length."""
    if isinstance(value, int):
        return _number(number << 3 | _VARINT) + _number(value)
    return _number(number << 3 | _BYTES) + _number(len(value)) + bytes(value)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
