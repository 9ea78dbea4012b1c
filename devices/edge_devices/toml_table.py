"""One table of a parsed TOML file that answers for its keys: each is of the asked type and range, or a ProfileError.

Knows what profiles use and nothing more: text, whole numbers, numbers, flags, lists of them, tables, lists of tables.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

__all__ = ["ProfileError", "Table", "close_to"]

_LONGEST = 500
# Control characters rewrite a terminal's lines, lone surrogates cannot be written as UTF-8.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ProfileError(ValueError):
    """A profile that cannot be used; the message is one sentence: where, what was expected, found, what to do next."""


def close_to(word: str, known: Sequence[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest known words, "" where none is near."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


def _brief(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Table:
    """A table of `file`, `name` being its path within ("cpu", "providers[0].options"; "" is the file's top)."""

    def __init__(self, file: str, name: str, data: dict[str, Any]) -> None:
        self._file, self._name, self._data = file, name, data

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        """The keys there are; those that the author of the file chose are checked to be printable."""
        for key in self._data:
            if not key.strip() or len(key) > _LONGEST or _UNPRINTABLE.search(key):
                raise ProfileError(
                    f"{self._file}: {self._name}: expected a printable key, found {_brief(key)}; rename it"
                )
            yield key

    def only(self, *known: str) -> Table:
        """Return this table after a check that it has no other keys."""
        for key in self._data:
            if key not in known:
                raise ProfileError(
                    f"{self._file}: {self._name or 'top level'}: unknown key {_brief(key)}{close_to(key, known)}; "
                    f"expected only {', '.join(known)}"
                )
        return self

    def wrong(self, key: str, expected: str, found: object, advice: str) -> NoReturn:
        """Raise the sentence for a value that is not as expected."""
        raise ProfileError(f"{self._file}: {self._path(key)}: expected {expected}, found {_brief(found)}; {advice}")

    def missing(self, key: str, what: str) -> NoReturn:
        """Raise the sentence for a key that is not there."""
        raise ProfileError(f"{self._file}: {self._path(key)} is missing; add it: {what}")

    def text(self, key: str, empty: bool = False) -> str:
        """A text of 1 to 500 printable characters."""
        return self._as_text(key, self._value(key, f'a text, {key} = "..."'), empty)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, each once; () where there is none."""
        found = tuple(self._as_text(f"{key}[{i}]", value, False) for i, value in enumerate(self._list(key)))
        if len(set(found)) < len(found):
            twice = next(text for i, text in enumerate(found) if text in found[:i])
            self.wrong(key, "each text once", twice, "remove one of the two")
        return found

    def choice(self, key: str, known: Sequence[str]) -> str:
        """One of a few texts."""
        value = self._value(key, f"one of {', '.join(known)}")
        if value not in known:
            near = close_to(value, known) if isinstance(value, str) else ""
            self.wrong(key, f"one of {', '.join(known)}", value, f"choose one of these{near}")
        return str(value)

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number in least..most."""
        if default is not None and key not in self._data:
            return default
        return self._as_whole(key, self._value(key, f"a whole number, {key} = {least or most}"), least, most)

    def wholes(self, key: str, least: int, most: int) -> tuple[int, ...]:
        """A list of whole numbers in least..most; () where there is none."""
        return tuple(self._as_whole(f"{key}[{i}]", value, least, most) for i, value in enumerate(self._list(key)))

    def number(self, key: str, least: float, most: float) -> float:
        """A finite number in least..most."""
        value = self._value(key, f"a number, {key} = {most:g}")
        # Whole numbers of any size compare with floats exactly, and NaN with nothing.
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most
        if not good or not math.isfinite(value):
            self.wrong(key, f"a number from {least:g} to {most:g}", value, f"write {key} without quotes and unit")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._data.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, "true or false", value, f"write {key} = true or {key} = false, without quotes")
        return value

    def table(self, key: str, required: bool = False) -> Table:
        """A table within; an empty one where there is none."""
        if required and key not in self._data:
            self.missing(key, f"a table [{self._path(key)}]")
        return self._as_table(key, self._data.get(key, {}))

    def tables(self, key: str) -> list[Table]:
        """A list of tables ([[key]] in the file)."""
        return [self._as_table(f"{key}[{i}]", value) for i, value in enumerate(self._list(key))]

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def _value(self, key: str, what: str) -> Any:
        if key not in self._data:
            self.missing(key, what)
        return self._data[key]

    def _list(self, key: str) -> list[Any]:
        value = self._data.get(key, [])
        if not isinstance(value, list):
            self.wrong(key, "a list", value, "put it in brackets, [...] (tables: double the table's brackets)")
        return value

    def _as_table(self, key: str, value: object) -> Table:
        if not isinstance(value, dict):
            self.wrong(key, "a table", value, "write { key = value } or a [table] of its own")
        return Table(self._file, self._path(key), value)

    def _as_text(self, key: str, value: object, empty: bool) -> str:
        if not isinstance(value, str):
            self.wrong(key, "a text", value, "put it in quotes")
        if not value.strip() and not empty:
            self.wrong(key, "a text with something in it", value, "fill it in or leave the key out")
        if len(value) > _LONGEST or _UNPRINTABLE.search(value):
            self.wrong(key, f"one line of at most {_LONGEST} printable characters", value, "shorten it")
        return value

    def _as_whole(self, key: str, value: object, least: int, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.wrong(key, f"a whole number from {least} to {most}", value, "write it without quotes and unit")
        return value
