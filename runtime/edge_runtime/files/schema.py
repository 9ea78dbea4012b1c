"""Strict JSON <-> frozen dataclasses: unknown keys, missing keys and wrong types are errors with a path.

A format that may grow is read with a list for unknown keys; all else stays as strict.

Knows what our dataclasses use and nothing more: str, int, float, bool, None, Literal, Optional, unions of
dataclasses told apart by their `task` field, tuple[X, ...], dict[str, X] and nested dataclasses.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

__all__ = ["SchemaError", "from_json", "grown", "later", "needs_of", "to_json"]

T = TypeVar("T")

_INDEX = re.compile(r"\[\d+\]")
_MOST_IGNORED = 100
_MOST_INTEGER = (1 << 63) - 1

# Control characters rewrite a terminal's lines, lone surrogates cannot be written as UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class SchemaError(ValueError):
    """A JSON value that does not fit its dataclass; the message starts with the path of the value."""


def later(default: T, needs: str = "") -> T:
    """A field that a format got after its first version: it is not written where it has its default.

    `needs` names what a reader must understand to read a value that uses it (bundle/versions.py); "" where one that
    ignores the field gives the same answers.
    """
    return dataclasses.field(default=default, metadata={"later": True, "needs": needs})


def grown(default: T, later_values: Mapping[T, str]) -> T:
    """A field of a format's first version that got more values since: each with what a reader must understand."""
    return dataclasses.field(default=default, metadata={"values": later_values})


def needs_of(value: Any) -> tuple[str, ...]:
    """What a tree of dataclasses needs of its reader, sorted: see `later` and `grown`."""
    if isinstance(value, (tuple, list)):
        return tuple(sorted({need for item in value for need in needs_of(item)}))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return ()
    found: set[str] = set()
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        found.update(needs_of(held))
        if field.metadata.get("needs") and held != field.default:
            found.add(field.metadata["needs"])
        if held in (values := field.metadata.get("values", ())):
            found.add(values[held])
    return tuple(sorted(found))


def to_json(value: Any) -> Any:
    """Turn a tree of dataclasses into plain JSON values (tuples become lists, None fields stay; see `later`)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {f.name: to_json(item) for f, item in held if not (f.metadata.get("later") and item == f.default)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], data: Any, where: str = "$", ignored: list[str] | None = None) -> T:
    """Build `kind` (a dataclass) from parsed JSON. Raises SchemaError naming the path that is wrong.

    Unknown keys are errors, too; where a list is given they go into it instead: their paths, once each for all items
    of a list ("blocks[].colour"), _MOST_IGNORED at most.
    """
    return typing.cast(T, _convert(kind, data, where, ignored))


def _convert(kind: Any, data: Any, where: str, ignored: list[str] | None) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast(type, kind), data, where, ignored)
    if origin is Literal:
        choices = typing.get_args(kind)
        # `True == 1` in Python, so the type must match as well as the value.
        if any(data == choice and type(data) is type(choice) for choice in choices):
            return data
        raise SchemaError(f"{where}: expected one of {', '.join(map(repr, choices))}, found {_brief(data)}")
    if origin in (Union, types.UnionType):
        return _union(typing.get_args(kind), data, where, ignored)
    if origin is tuple:
        item_kind = typing.get_args(kind)[0]
        if not isinstance(data, list):
            raise SchemaError(f"{where}: expected a list, found {_brief(data)}")
        return tuple(_convert(item_kind, item, f"{where}[{i}]", ignored) for i, item in enumerate(data))
    if origin is dict:
        item_kind = typing.get_args(kind)[1]
        if not isinstance(data, dict):
            raise SchemaError(f"{where}: expected an object, found {_brief(data)}")
        return {
            _scalar(str, key, where): _convert(item_kind, item, f"{where}.{key}", ignored) for key, item in data.items()
        }
    return _scalar(kind, data, where)


def _scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        try:
            number = float(data)
        except OverflowError:  # an integer beyond 1.8e308
            number = math.inf
        if not math.isfinite(number):
            raise SchemaError(f"{where}: expected a finite number, found {_brief(data)}")
        return number
    if kind is int and isinstance(data, int) and not isinstance(data, bool):
        if abs(data) > _MOST_INTEGER:  # sums of such have more digits than Python writes
            raise SchemaError(f"{where}: expected an integer of at most 63 bits, found one of {data.bit_length()}")
        return data
    if kind is str and isinstance(data, str):
        if found := _UNPRINTABLE.search(data):
            raise SchemaError(f"{where}: expected text, found the character U+{ord(found[0]):04X} in {_brief(data)}")
        return data
    if kind is bool and isinstance(data, bool):
        return data
    raise SchemaError(f"{where}: expected {getattr(kind, '__name__', kind)}, found {_brief(data)}")


def _union(kinds: tuple[Any, ...], data: Any, where: str, ignored: list[str] | None) -> Any:
    if data is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) == 1:
        return _convert(kinds[0], data, where, ignored)
    if all(dataclasses.is_dataclass(kind) for kind in kinds):
        tag = data.get("task") if isinstance(data, dict) else None
        by_tag = {field.default: kind for kind in kinds for field in dataclasses.fields(kind) if field.name == "task"}
        if not isinstance(tag, str) or tag not in by_tag:
            raise SchemaError(
                f"{where}.task: expected one of {', '.join(sorted(map(str, by_tag)))}, found {_brief(tag)}"
            )
        return _convert(by_tag[tag], data, where, ignored)
    for kind in kinds:
        try:
            return _convert(kind, data, where, ignored)
        except SchemaError:
            continue
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise SchemaError(f"{where}: expected {names}, found {_brief(data)}")


def _dataclass(kind: type, data: Any, where: str, ignored: list[str] | None) -> Any:
    if not isinstance(data, dict):
        raise SchemaError(f"{where}: expected an object, found {_brief(data)}")
    hints, fields = _described(kind)
    if unknown := [key for key in data if key not in fields]:
        if ignored is None:
            raise SchemaError(f"{where}: unknown key {unknown[0]!r}; known keys: {', '.join(fields)}")
        for key in unknown[:_MOST_IGNORED]:
            path = _INDEX.sub("[]", f"{where}.").removeprefix("$.") + key
            if path not in ignored and len(ignored) < _MOST_IGNORED:
                ignored.append(path)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], f"{where}.{name}", ignored)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SchemaError(f"{where}: missing key {name!r}")
    try:
        return kind(**values)
    except ValueError as error:  # a dataclass's own __post_init__ check
        raise SchemaError(f"{where}: {error}") from error


@functools.cache
def _described(kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """The types and the fields of a dataclass, by name: a manifest has hundreds of rows of one kind."""
    return typing.get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind)}


def _brief(data: Any) -> str:
    try:
        text = repr(data)
    except (ValueError, RecursionError):  # an integer of thousands of digits, lists in lists without end
        return "what is too large to show"
    return text if len(text) <= 60 else text[:57] + "..."
