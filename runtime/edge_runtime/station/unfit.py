"""Pictures that were not judged: how a station tells them, as the store notes it, and one of them looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.files.schema import from_json, to_json
from edge_runtime.inspect.health.filled import filled
from edge_runtime.inspect.health.limits import Limits
from edge_runtime.inspect.health.settings import HealthSettings
from edge_runtime.inspect.health.watch import Watch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Unfit", "fault_in", "health_from_json", "health_to_json"]


@dataclass(frozen=True)
class Unfit:
    """What was recorded of a picture that was not judged, and what speaks against it now (None: nothing does)."""

    recorded: dict[str, Any]
    found: str | None

    @property
    def same(self) -> bool:
        """Whether it is what was recorded, word for word: its figures are in it."""
        return self.found in self.recorded["reasons"]


def health_to_json(health: HealthSettings) -> dict[str, Any]:
    """Return plain values of what one picture alone is held against: limits themselves, their file may change."""
    return {"on": health.on, "limits": None if health.limits is None else to_json(health.limits)}


def health_from_json(told: Mapping[str, Any]) -> HealthSettings:
    """Return what health_to_json told of."""
    limits = told["limits"]
    return HealthSettings(told["on"], limits=None if limits is None else from_json(Limits, limits))


def fault_in(image: NDArray[np.uint8], health: HealthSettings, recorded: Mapping[str, Any]) -> str | None:
    """Return what speaks against a picture, uint8 [height, width, 3], by itself; None: nothing does."""
    found = Watch(health.limits).finding(image, 0.0)
    if health.on is None and found not in recorded["reasons"]:  # of films this alone is looked for then
        return filled(image)
    return found
