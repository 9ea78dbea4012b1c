"""YAML as a tree of texts with their lines. What a text means is decided by the key that it stands for (shape.py).

So `no`, `1:30` and `0123` are the texts that they look like, and nothing is taken for a number that was none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from edge_runtime.errors import DependencyError
from edge_runtime.station.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Item", "Listed", "Node", "Scalar", "Table", "parse"]

_MOST = 10_000  # values; an alias of an alias of an alias is no recipe
_DEEPEST = 20


@dataclass(frozen=True)
class Scalar:
    """One value, as it was written; `plain`: without quotes."""

    text: str
    plain: bool
    line: int


@dataclass(frozen=True)
class Listed:
    """Values in order."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class Item:
    """A key with its value."""

    key: str
    line: int
    value: Node


@dataclass(frozen=True)
class Table:
    """Keys and values."""

    items: tuple[Item, ...]
    line: int


Node: TypeAlias = Union[Scalar, Listed, Table]


def parse(text: str, mistakes: list[Mistake]) -> Node | None:
    """Return the tree of one YAML document; None: it is none, as `mistakes` then says.

    Raises DependencyError where PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise DependencyError("a recipe needs yaml, not installed here: pip install 'edgeline[station]'") from error
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = "a tab stands here; YAML is indented by spaces" if "'\\t'" in str(error.problem) else error.problem
        if error.context and error.context_mark is not None:  # where what is missing at the end was begun
            why = f"{why} ({error.context} of line {error.context_mark.line + 1})"
        mistakes.append(Mistake(1 if mark is None else mark.line + 1, "", f"this is no YAML: {why}"))
        return None
    except yaml.YAMLError as error:  # a character that no YAML has
        mistakes.append(Mistake(1, "", f"this is no YAML: {' '.join(str(error).split())}"))
        return None
    if root is None:
        mistakes.append(Mistake(1, "", "the file is empty; edge-station init writes a first recipe"))
        return None
    return _Tree(mistakes).node(root, 0)


class _Tree:
    def __init__(self, mistakes: list[Mistake]) -> None:
        self._mistakes, self._left = mistakes, _MOST

    def node(self, found: Any, depth: int) -> Node | None:
        line = found.start_mark.line + 1
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            if self._left in (-1, _MOST):
                self._mistakes.append(Mistake(line, "", f"more than {_MOST} values: no recipe has so many"))
            elif self._left >= 0:
                self._mistakes.append(Mistake(line, "", f"more than {_DEEPEST} levels deep, or an alias of itself"))
            self._left = -2
            return None
        if found.id == "scalar":
            return Scalar(str(found.value), found.style is None, line)
        if found.id == "sequence":
            return Listed(tuple(self._all(found.value, depth)), line)
        return Table(tuple(self._items(found, depth)), line)

    def _all(self, values: Any, depth: int) -> Iterator[Node]:
        for value in values:
            if self._left < 0:
                return
            node = self.node(value, depth + 1)
            if node is not None:
                yield node

    def _items(self, found: Any, depth: int) -> Iterator[Item]:
        lines: dict[str, int] = {}
        for key, value in found.value:
            if self._left < 0:
                return
            line = key.start_mark.line + 1
            if key.id != "scalar":
                self._mistakes.append(Mistake(line, "", "a key must be a word"))
                continue
            if key.value in lines:
                self._mistakes.append(Mistake(line, key.value, f"the key stands in line {lines[key.value]} already"))
                continue
            lines[key.value] = line
            node = self.node(value, depth + 1)
            if node is not None:
                yield Item(str(key.value), line, node)
