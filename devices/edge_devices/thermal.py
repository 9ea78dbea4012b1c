"""How hot the machine is, and where its kernel begins to do something about it."""

from __future__ import annotations

from edge_devices.machine import Trip, Zone
from edge_devices.tree import Tree

__all__ = ["zones"]

_FOLDER = "sys/class/thermal"
_MOST_ZONES, _MOST_TRIPS = 64, 32
# Millidegrees that a sensor can mean; what is switched off says -256000, -273200 or 0x7fffffff.
_COLDEST, _HOTTEST = -55_000, 200_000


def zones(tree: Tree) -> tuple[Zone, ...]:
    """Return the thermal zones in the kernel's order (Documentation/driver-api/thermal/sysfs-api.rst)."""
    found = []
    for name in tree.names(_FOLDER, "thermal_zone[0-9]*")[:_MOST_ZONES]:
        folder = f"{_FOLDER}/{name}"
        kind = tree.text(f"{folder}/type", 256)
        if kind:
            found.append(Zone(kind, _celsius(tree, f"{folder}/temp"), _trips(tree, folder)))
    return tuple(found)


def _trips(tree: Tree, folder: str) -> tuple[Trip, ...]:
    found = []
    for name in tree.names(folder, "trip_point_[0-9]*_temp")[:_MOST_TRIPS]:
        celsius = _celsius(tree, f"{folder}/{name}")
        kind = tree.text(f"{folder}/{name.removesuffix('temp')}type", 64)
        if celsius is not None and celsius > 0 and kind:  # 0: a trip that is not set
            found.append(Trip(kind, celsius))
    return tuple(sorted(found, key=lambda trip: trip.celsius))


def _celsius(tree: Tree, path: str) -> float | None:
    value = tree.number(path)
    return value / 1000 if value is not None and _COLDEST <= value <= _HOTTEST else None
