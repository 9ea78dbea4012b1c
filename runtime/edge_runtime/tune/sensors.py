"""The temperature now, read again and again while something computes."""

from __future__ import annotations

from pathlib import Path

from edge_devices.thermal import zones
from edge_devices.tree import Tree

__all__ = ["hottest"]

# Sensors that are not connected say 0, -128 or 255.
_LOWEST, _HIGHEST = 1.0, 150.0


def hottest(root: Path = Path("/")) -> float | None:
    """Return the hottest thermal zone in degrees Celsius, without any the hottest hwmon sensor; None for no sensor.

    Many x86 machines have their processor's sensor under hwmon alone (Documentation/hwmon/sysfs-interface.rst).
    """
    tree = Tree(root)
    found = [zone.celsius for zone in zones(tree) if zone.celsius is not None]
    return _highest(found) or _highest(_hwmon(tree))


def _hwmon(tree: Tree) -> list[float]:
    base = "sys/class/hwmon"
    names = [f"{base}/{chip}/{name}" for chip in tree.names(base, "hwmon*") for name in _inputs(tree, f"{base}/{chip}")]
    return [value / 1000 for name in names if (value := tree.number(name)) is not None]


def _inputs(tree: Tree, folder: str) -> list[str]:
    return list(tree.names(folder, "temp*_input"))


def _highest(found: list[float]) -> float | None:
    return max((celsius for celsius in found if _LOWEST <= celsius <= _HIGHEST), default=None)
