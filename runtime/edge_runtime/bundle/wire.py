"""protobuf's wire format, read and written field by field, where no protobuf library is.

https://protobuf.dev/programming-guides/encoding

What two readers could take for two things is refused: protobuf drops the bits of a field's key above 32, so that one of
five bytes is another field there than here. No writer makes such bytes, nor a number longer than it has to be, a field
0, or a group (ONNX has none).
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from typing import Union

__all__ = ["Value", "field", "fields", "integers", "message", "pieces", "unused_prefix", "varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LEAST_KEY, _MOST_KEY = 1 << 3, (1 << 32) - 1  # field 1; 32 bits
_MOST_LENGTH = (1 << 31) - 1  # protobuf's own limit

# An int of a varint, the bytes of what has a length. None: 4 or 8 fixed bytes, which nothing here is made of, and which
# must not pass for a text that is as long.
Value = Union[int, memoryview, None]


def fields(view: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield the fields of one message: number and value. Raises ValueError for bytes that are no message."""
    return ((number, value) for number, value, _ in pieces(view))


def pieces(view: memoryview) -> Iterator[tuple[int, Value, memoryview]]:
    """Yield what `fields` does and each field whole, number included: joined again they are the message."""
    position, end = 0, len(view)
    while position < end:
        start = position
        key, position = varint(view, position)
        if not _LEAST_KEY <= key <= _MOST_KEY:
            raise ValueError(f"the graph is damaged: {key >> 3} is no number of a field")
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
        if length > min(end - position, _MOST_LENGTH):
            raise ValueError(f"the graph is damaged: a field of {length} bytes in {end - position}")
        position += length
        yield key >> 3, view[position - length : position] if wire == _BYTES else None, view[start:position]


def integers(value: Value) -> list[int]:
    """Return a repeated integer field: one value, or many packed as bytes. Raises ValueError."""
    if isinstance(value, int):
        return [value]
    packed = message(value)
    numbers, position = [], 0
    while position < len(packed):
        number, position = varint(packed, position)
        numbers.append(number)
    return numbers


def message(value: Value) -> memoryview:
    """Return a field's value that is a message, or a text. Raises ValueError for a number."""
    if not isinstance(value, memoryview):
        raise ValueError("the graph is damaged: a number where a message was expected")
    return value


def varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the number at `position`, of 64 bits at most, and where the next field begins.

    Raises ValueError for one that does not end, has more bits, or more bytes than it needs.
    """
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
            if not byte or value >> 64:
                raise ValueError("the graph is damaged: a number is longer than it has to be")
            return value, position
    raise ValueError("the graph is damaged: a number does not end")


def field(number: int, value: int | bytes | memoryview) -> bytes:
    """Return one field of a message: a varint, or bytes with their length."""
    if isinstance(value, int):
        return _number(number << 3 | _VARINT) + _number(value)
    return _number(number << 3 | _BYTES) + _number(len(value)) + bytes(value)


def unused_prefix(model: bytes | mmap.mmap, start: bytes) -> bytes:
    """Return `start` and as many underscores as make it occur nowhere in the model, found in one reading."""
    longest = max((len(match[0]) for match in re.finditer(re.escape(start) + b"_*", model)), default=0)
    return start + b"_" * max(0, longest + 1 - len(start))


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
