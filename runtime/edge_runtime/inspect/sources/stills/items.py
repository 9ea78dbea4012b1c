"""How many pictures an AVIF or HEIC holds: its items, less those that are a part or a helper of another one.

Source: ISO/IEC 14496-12 (meta, iinf, iref) and 23008-12 (tiles, thumbnails, alpha, depth and gain maps).
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.errors import DataError

__all__ = ["boxes", "pictures_in"]

_CODED = {b"hvc1", b"av01", b"avc1", b"jpeg", b"j2k1", b"vvc1", b"unci", b"grid", b"iden", b"iovl"}
_HELPERS = {b"thmb", b"auxl"}  # from the helper to the picture that it belongs to


def pictures_in(data: bytes) -> int:
    """Count them; 1 at least. Raises DataError for tables that lead out of the file."""
    inner = {kind: (start, end) for kind, start, end in boxes(data, 0, len(data))}
    if b"meta" not in inner:
        return 1
    start, end = inner[b"meta"]
    tables = {kind: (begin, close) for kind, begin, close in boxes(data, start + 4, end)}
    if b"iinf" not in tables:
        return 1
    items = set(_items(data, *tables[b"iinf"]))
    for kind, source, targets in _references(data, *tables.get(b"iref", (0, 0))):
        if kind in _HELPERS:
            items.discard(source)
        elif kind == b"dimg":  # tiles of a grid, and the gain map beside a picture that stands for itself
            items -= set(targets) if source in items else set(targets[1:])
    return max(1, len(items))


def _items(data: bytes, start: int, end: int) -> Iterator[int]:
    """Yield the number of each coded picture that is not hidden."""
    first = start + 4 + (2 if data[start] == 0 else 4)
    for kind, begin, close in boxes(data, first, end):
        if kind != b"infe" or close - begin < 12 or data[begin] < 2:
            continue
        wide = 2 if data[begin] == 2 else 4
        number = int.from_bytes(data[begin + 4 : begin + 4 + wide], "big")
        coding = data[begin + 6 + wide : begin + 10 + wide]
        if coding in _CODED and not data[begin + 3] & 1:
            yield number


def _references(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, list[int]]]:
    """Yield the kind of each reference, from which item, and to which."""
    if end - start < 4:
        return
    wide = 2 if data[start] == 0 else 4
    for kind, begin, close in boxes(data, start + 4, end):
        source = int.from_bytes(data[begin : begin + wide], "big")
        count = int.from_bytes(data[begin + wide : begin + wide + 2], "big")
        first = begin + wide + 2
        targets = [data[at : at + wide] for at in range(first, min(first + count * wide, close), wide)]
        yield kind, source, [int.from_bytes(target, "big") for target in targets]


def boxes(data: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each box. Raises DataError for one that is longer than what it lies in."""
    while place + 8 <= end:
        length, kind, head = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        close = end if length == 0 else place + length
        if close > end or close < place + head:
            raise DataError("the file ends early: a part of it is longer than the file")
        yield kind, place + head, close
        place = close
