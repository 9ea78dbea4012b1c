"""Text that must not be seen: passwords, tokens, addresses that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from edge_runtime.inspect.address import masked

__all__ = ["Address", "Hider", "Secret", "variables"]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SHORTEST = 4  # a value of fewer characters stands everywhere by chance


class Secret:
    """A text that shows itself as it was written, `${NAME}`, or not at all; `reveal` is called where it is used."""

    def __init__(self, written: str, value: str, parts: Mapping[str, str] | None = None) -> None:
        """`parts`: the variables that were put in, by name."""
        self._written, self._value, self.parts = written, value, dict(parts or {})

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __str__(self) -> str:
        return self._written if self.parts else "***"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written anywhere")


class Address(Secret):
    """A file, camera or URL, which may hold a password; without one it shows itself."""

    def __str__(self) -> str:
        return self._written if self.parts else masked(self._written)


def variables(text: str) -> list[str]:
    """Return the names of the variables in a text."""
    return [found.strip() for found in _VARIABLE.findall(text)]


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its variables put in."""
    return _VARIABLE.sub(lambda found: values[found[1].strip()], text)


class Hider:
    """Takes secrets out of whatever is written; `${NAME}` stands in their place."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        secrets = list(secrets)
        found = {value: name for secret in secrets for name, value in secret.parts.items() if len(value) >= _SHORTEST}
        self._names = dict(sorted(found.items(), key=lambda item: -len(item[0])))
        self._used = frozenset(name for secret in secrets for name in secret.parts)

    @property
    def names(self) -> frozenset[str]:
        """The variables of the environment that are in use."""
        return self._used

    def and_of(self, other: Hider) -> Hider:
        """Return what hides another one's too."""
        both = Hider(())
        both._names = dict(sorted({**other._names, **self._names}.items(), key=lambda item: -len(item[0])))
        return both

    def text(self, text: str) -> str:
        """Return a text without them."""
        for value, name in self._names.items():
            text = text.replace(value, f"${{{name}}}")
        return text

    def json(self, value: Any) -> Any:
        """Return plain JSON values without them."""
        if not self._names:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.json(item) for key, item in value.items()}
        return [self.json(item) for item in value] if isinstance(value, (list, tuple)) else value
