"""Small YAML files beside models and data, which may come from anybody: PyYAML tells what stands where, no more.

Quoted texts, and all keys, are texts. What else a text means the caller says; YAML's own rules would make a number of
`0123` and of `1:30`, and false of `no`. An alias is read as what it stands for, a merge key (`<<`) is a key as others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["parse_yaml", "read_yaml"]

_LONGEST = 1 << 20  # characters
_MOST = 30_000  # values, those behind an alias each time that it is used
_DEEPEST = 20
_LONGEST_NUMBER = 40
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_NUMBER = re.compile(r"[-+]?(\d[\d_]*)?\.?\d*(e[-+]?\d+)?", re.IGNORECASE)


def read_yaml(path: Path) -> dict[str, Any] | None:
    """A mapping from a file, with its numbers, true, false and null; None when there is none, or it is something else.

    Tags mean nothing here: what claims to be an object of some program is the texts that it is written with.
    """
    try:
        if path.stat().st_size > _LONGEST:
            return None
        value = parse_yaml(path.read_text(encoding="utf-8-sig"), _value)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def parse_yaml(text: str, plain: Callable[[str], Any] = str) -> Any:
    """Return the dictionaries, lists and texts of one YAML document; `plain` is what a text without quotes means.

    None for an empty one. Raises ValueError with the line where it is no YAML, or more of it than such files have.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"expected at most {_LONGEST:,} characters of YAML, found {len(text):,}")
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{where}this is no YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a character that no YAML has
        raise ValueError(f"this is no YAML: {' '.join(str(error).split())}") from error
    return None if root is None else _Reading(plain).value(root, 0)


def _compose(text: str) -> Any:
    """The tree of nodes, in which what an alias stands for is there once."""
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Composes so many nodes, and so deep, as such a file may have; a tree of all others would be large."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._left, self._depth = _MOST, 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._left, self._depth = self._left - 1, self._depth + 1
        if self._left < 0 or self._depth > _DEEPEST:
            raise _too_much(self.peek_event().start_mark.line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reading:
    def __init__(self, plain: Callable[[str], Any]) -> None:
        self._plain, self._left = plain, _MOST

    def value(self, node: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise _too_much(node.start_mark.line)
        if node.id == "scalar":
            return self._plain(node.value) if node.style is None else node.value
        if node.id == "sequence":
            return [self.value(item, depth + 1) for item in node.value]
        made: dict[str, Any] = {}
        for key, item in node.value:
            if key.id != "scalar":
                raise ValueError(f"line {key.start_mark.line + 1}: expected a word as key")
            made[key.value] = self.value(item, depth + 1)
        return made


def _too_much(line: int) -> ValueError:
    return ValueError(f"line {line + 1}: expected at most {_MOST:,} values, at most {_DEEPEST} deep")


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) and any(map(str.isdigit, text)):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    return text
