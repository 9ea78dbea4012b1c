"""From the data's class indices to the model's: by name where both sides have names, else by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import DataError

__all__ = ["ClassMap", "map_classes"]


@dataclass(frozen=True)
class ClassMap:
    """`table` gives the model's index for each of the data's (-1: unknown to the model); None: as is."""

    table: tuple[int, ...] | None
    how: str  # one sentence for the report

    def __call__(self, classes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Map an array of the data's class indices; an index beyond the table becomes -1."""
        if self.table is None:
            return classes
        table = np.array([*self.table, -1], dtype=np.int64)
        mapped: NDArray[np.int64] = table[np.where((classes >= 0) & (classes < len(self.table)), classes, -1)]
        return mapped


def map_classes(data: Sequence[str], model: Sequence[str]) -> ClassMap:
    """Decide how classes correspond. Raises DataError when both sides have names and none of them agree."""
    if not data or not model:
        missing = "the data has" if not data else "the model has"
        return ClassMap(None, f"classes compared by index ({missing} no names)")
    left, right = [_plain(name) for name in data], [_plain(name) for name in model]
    # Names are not always unique (ImageNet has two "crane"s) nor spelled alike ("pin-hole", "spurious copper"):
    # where most agree place by place, the index is the better key.
    same = sum(bool(_forms(a) & _forms(b)) for a, b in zip(left, right, strict=False))
    if len(left) == len(right) and same > 0.5 * len(left):
        return ClassMap(None, f"classes compared by index ({same} of {len(left)} names agree in order)")
    places: dict[str, int] = {}
    for index, name in enumerate(right):
        for form in _forms(name):
            places.setdefault(form, index)
    table = tuple(next((places[form] for form in _ordered_forms(name) if form in places), -1) for name in left)
    known = sum(index >= 0 for index in table)
    if known:
        unknown = [name for name, index in zip(data, table, strict=True) if index < 0]
        rest = (
            f"; the model does not know {', '.join(unknown[:3])}{' ...' if len(unknown) > 3 else ''}" if unknown else ""
        )
        return ClassMap(table, f"classes matched by name ({known} of {len(data)}{rest})")
    if len(left) == len(right) and all(name.startswith("class ") or name.isdigit() for name in right):
        return ClassMap(None, "classes compared by index (the model's names are numbers)")
    raise DataError(
        f"the data's classes ({', '.join(data[:3])}, ...) and the model's ({', '.join(model[:3])}, ...) have "
        f"no name in "
        "common; give the model's labels in their right order with --labels"
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def _ordered_forms(name: str) -> list[str]:
    """The name and its first synonym: "tench,tincatinca" is also "tench"."""
    return [name, name.split(",")[0]]


def _forms(name: str) -> set[str]:
    return set(_ordered_forms(name))
