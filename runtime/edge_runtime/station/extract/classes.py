"""Which number a class has in what is written: that of the model, as long as all models agree. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Classes", "classes_of"]


@dataclass(frozen=True)
class Classes:
    """The names in the order of their numbers; `renumbered`: models have other numbers."""

    names: tuple[str, ...]
    renumbered: bool = False

    def number(self, name: str) -> int:
        """Return a class's number."""
        return self.names.index(name)


def classes_of(seen: Iterable[tuple[int, str]], labels: Iterable[Sequence[str]]) -> Classes:
    """Return the classes of what was `seen`, as numbers and names, and of the `labels` of the models that are known."""
    told = {*seen, *(pair for names in labels for pair in enumerate(names))}
    names = dict(told)
    if len(names) == len(told) == len({name for _, name in told}):
        return Classes(tuple(names.get(number, f"class_{number}") for number in range(max(names, default=-1) + 1)))
    return Classes(tuple(sorted({name for _, name in told})), renumbered=True)
