"""A tree of YAML becomes dataclasses: strictly, and with every mistake noted instead of the first one raised.

What a dataclass says of itself:

    SHORT   the field that a single value, or a list, stands for: `store: store/` is `store: {path: store/}`
    ONE_OF  exactly one of its fields is given
    LISTED  a list of its fields' values, in their order, stands for it: `[10%, 20%]`
    PATTERN, WORDS, parse   one value stands for it, which matches the pattern; `parse` makes it, or raises ValueError
    STANDS  a required field that could not be read is taken for something harmless, so that the others are looked at
    metadata of a field: `help` (for people and editors), `unit` ("size": 1GB, "seconds": 200ms), `words` (a pattern of
    a table's keys), `single` (of a list: one value stands for a list of it)

A `__post_init__` may raise ValueError for what its fields cannot be together.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union

from edge_runtime.errors import UsageError
from edge_runtime.files.sizes import parse_size
from edge_runtime.inspect.secret import Secret, filled_in, variables
from edge_runtime.station.recipe.mistakes import Mistake, nearest
from edge_runtime.station.recipe.nodes import Item, Listed, Node, Scalar, Table

__all__ = ["MISSING", "Reading", "hints_of"]

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
MISSING: Any = object()  # of what could not be read, as `mistakes` says


class Reading:
    """Reads nodes into values. `folder` is what paths are relative to, `environment` what ${NAME} is looked up in.

    What cannot be read is left out of the value, so that what else it names can be looked for: of a value, only where
    `mistakes` is empty all is there. `unread` are the keys that are not.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.mistakes: list[Mistake] = []
        self.lines: dict[str, int] = {}  # of every key that was read
        self.secrets: list[Secret] = []
        self.unread: set[str] = set()
        self._folder, self._environment = folder, environment

    def read(self, kind: Any, node: Node, where: str, metadata: Mapping[str, Any] = types.MappingProxyType({})) -> Any:
        """Return the value of type `kind` at key `where`, or MISSING."""
        self.lines[where] = node.line
        origin = typing.get_origin(kind)
        if dataclasses.is_dataclass(kind):
            return self._dataclass(typing.cast("type[Any]", kind), node, where)
        if origin in (Union, types.UnionType):
            (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
            return self.read(kind, node, where, metadata)
        if origin is tuple:
            listed = Listed((node,), node.line) if metadata.get("single") and isinstance(node, Scalar) else node
            return self._list(typing.get_args(kind)[0], listed, where)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._table(typing.get_args(kind)[1], node, where, metadata)
        if not isinstance(node, Scalar):
            return self._wrong(node, where, f"expected {_words(kind, metadata)}, found {_name(node)}")
        return self._scalar(kind, node, where, metadata)

    def _wrong(self, node: Node, where: str, what: str) -> Any:
        self.mistakes.append(Mistake(node.line, where, what))
        return MISSING

    def _dataclass(self, kind: type[Any], node: Node, where: str) -> Any:
        fields = {field.name: field for field in dataclasses.fields(kind)}
        hints = hints_of(kind)
        if hasattr(kind, "PATTERN"):
            return self._parsed(kind, node, where)
        short = getattr(kind, "SHORT", None)
        if getattr(kind, "LISTED", False) and isinstance(node, Listed):
            if len(node.items) != len(fields):
                return self._wrong(node, where, f"expected [{', '.join(fields)}], found {len(node.items)} values")
            node = Table(tuple(map(Item, fields, (item.line for item in node.items), node.items)), node.line)
        listed = short is not None and isinstance(node, Listed) and typing.get_origin(hints[short]) is tuple
        if short is not None and (isinstance(node, Scalar) or listed):
            value = self.read(hints[short], node, where, fields[short].metadata)
            return MISSING if value is MISSING else self._made(kind, {short: value}, node, where, True)
        if not isinstance(node, Table):
            return self._wrong(node, where, f"expected keys ({', '.join(fields)}), found {_name(node)}")
        values: dict[str, Any] = {}
        whole = True
        for item in node.items:
            place = f"{where}.{item.key}" if where else item.key
            if item.key not in fields:
                self.mistakes.append(Mistake(item.line, place, f"unknown key; {nearest(item.key, fields)}"))
                whole = False
                continue
            values[item.key] = self.read(hints[item.key], item.value, place, fields[item.key].metadata)
        given = {item.key for item in node.items}
        for name, field in fields.items():
            needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if needed and name not in given:
                self.mistakes.append(Mistake(node.line, where, f"the key {name} is missing"))
                values[name] = MISSING
            if values.get(name) is MISSING:
                whole = False
                self.unread.add(f"{where}.{name}" if where else name)
                values[name] = self._harmless(hints[name]) if needed and getattr(kind, "STANDS", False) else MISSING
                if not needed:
                    del values[name]
        if getattr(kind, "ONE_OF", False) and len(given) != 1:
            return self._wrong(node, where, f"expected exactly one of {', '.join(fields)}, found {len(given)}")
        if any(value is MISSING for value in values.values()) or (getattr(kind, "ONE_OF", False) and not whole):
            return MISSING
        return self._made(kind, values, node, where, whole)

    def _harmless(self, kind: Any) -> Any:
        """What stands for a value that could not be read; MISSING: nothing can."""
        if kind is Path:
            return self._folder
        if isinstance(kind, type) and issubclass(kind, Secret):
            return kind("", "", {})
        if isinstance(origin := typing.get_origin(kind), type) and issubclass(origin, Mapping):
            return {}
        short = getattr(kind, "SHORT", None)
        return MISSING if short is None else kind(**{short: self._harmless(hints_of(kind)[short])})

    def _made(self, kind: type[Any], values: dict[str, Any], node: Node, where: str, whole: bool) -> Any:
        try:
            return kind(**values)
        except ValueError as error:  # which is no news where something was left out
            return self._wrong(node, where, str(error)) if whole else MISSING

    def _parsed(self, kind: Any, node: Node, where: str) -> Any:
        if isinstance(node, Scalar) and re.fullmatch(kind.PATTERN, node.text, re.ASCII):
            try:
                return kind.parse(node.text)
            except ValueError as error:
                return self._wrong(node, where, str(error))
        found = repr(node.text[:60]) if isinstance(node, Scalar) else _name(node)
        return self._wrong(node, where, f"expected {kind.WORDS}, found {found}")

    def _list(self, kind: Any, node: Node, where: str) -> Any:
        if not isinstance(node, Listed):
            return self._wrong(node, where, f"expected a list (- ...), found {_name(node)}")
        values = tuple(self.read(kind, item, f"{where}[{number}]") for number, item in enumerate(node.items))
        self.unread.update(f"{where}[{number}]" for number, value in enumerate(values) if value is MISSING)
        if getattr(kind, "ONE_OF", False):  # one that could not be read is there, empty: others keep their numbers
            return tuple(kind() if value is MISSING else value for value in values)
        return MISSING if any(value is MISSING for value in values) else values

    def _table(self, kind: Any, node: Node, where: str, metadata: Mapping[str, Any]) -> Any:
        if not isinstance(node, Table):
            return self._wrong(node, where, f"expected names with what they stand for, found {_name(node)}")
        values: dict[str, Any] = {}
        words = metadata.get("words", ".+")
        for item in node.items:
            place = f"{where}.{item.key}" if where else item.key
            if not re.fullmatch(words, item.key):
                self.mistakes.append(Mistake(item.line, place, "a name has letters, digits, - and _, 64 at most"))
            values[item.key] = self.read(kind, item.value, place)
        if not node.items:
            return self._wrong(node, where, "expected one at least, found none")
        return {name: value for name, value in values.items() if value is not MISSING}

    def _scalar(self, kind: Any, node: Scalar, where: str, metadata: Mapping[str, Any]) -> Any:
        if isinstance(kind, type) and issubclass(kind, Secret):
            return self._secret(kind, node, where)
        if names := variables(node.text):
            what = f"${{{names[0]}}} is for secrets, and what stands here is shown in logs and records; write it out"
            return self._wrong(node, where, what)
        if metadata.get("unit") == "size":
            try:
                return parse_size(node.text)
            except UsageError as error:
                return self._wrong(node, where, str(error))
        if metadata.get("unit") == "seconds":
            found = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(ms|s|min|h)", node.text, re.ASCII)
            if found is None:
                return self._wrong(node, where, f"expected a time such as 200ms or 1.5s, found {node.text[:60]!r}")
            return float(found[1]) * _SECONDS[found[2]]
        value = _plain(kind, node)
        if value is MISSING:
            return self._wrong(node, where, f"expected {_words(kind, metadata)}, found {node.text[:60]!r}")
        return self._folder / value.expanduser() if isinstance(value, Path) else value

    def _secret(self, kind: type[Secret], node: Scalar, where: str) -> Any:
        names = variables(node.text)
        unset = [name for name in names if name not in self._environment]
        if unset:
            return self._wrong(node, where, f"the environment has no {unset[0]!r}; export it, or write the value")
        if not node.text:
            return self._wrong(node, where, f"expected {_words(kind, {})}, found nothing")
        values = {name: self._environment[name] for name in names}
        secret = kind(node.text, filled_in(node.text, values), values)
        self.secrets.append(secret)
        return secret


def hints_of(kind: type[Any]) -> dict[str, Any]:
    """Return the types of a dataclass's fields, by name."""
    return typing.get_type_hints(kind)


def _plain(kind: Any, node: Scalar) -> Any:
    """Return the value that a text stands for, or MISSING."""
    text = node.text
    if typing.get_origin(kind) is Literal:
        return text if text in typing.get_args(kind) else MISSING
    if kind is str or kind is Path:
        return MISSING if not text else kind(text)
    if not node.plain:
        return MISSING
    if kind is bool:
        return {"true": True, "false": False}.get(text, MISSING)
    if kind is int and re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        return int(text)
    if kind is float and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text, re.ASCII):
        return value if math.isfinite(value := float(text)) else MISSING
    return MISSING


def _words(kind: Any, metadata: Mapping[str, Any]) -> str:
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    if "unit" in metadata:
        return {"size": "a size such as 1GB", "seconds": "a time such as 200ms"}[metadata["unit"]]
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
    return words.get(kind, "a text")


def _name(node: Node) -> str:
    if isinstance(node, Scalar):
        return repr(node.text[:60]) if node.text else "nothing"
    return "a list" if isinstance(node, Listed) else "keys"
