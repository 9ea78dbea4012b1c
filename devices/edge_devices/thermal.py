"""How hot the machine is, and where its kernel begins to do something about it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_devices.machine import Trip, Zone
from edge_devices.tree import Tree

__all__ = ["hottest", "hottest_zone", "zones"]

_FOLDER = "sys/class/thermal"
_MOST_ZONES, _MOST_TRIPS = 64, 32
# Millidegrees that a sensor can mean; what is switched off says -256000, -273200 or 0x7fffffff.
_COLDEST, _HOTTEST = -55_000, 200_000
# Of what computes; sensors that are not connected say 0, -128 or 255.
_LOWEST_RUNNING, _HIGHEST_RUNNING = 1.0, 150.0


def zones(tree: Tree) -> tuple[Zone, ...]:
    """Return the thermal zones in the kernel's order (Documentation/driver-api/thermal/sysfs-api.rst)."""
    found = []
    for name in tree.names(_FOLDER, "thermal_zone[0-9]*")[:_MOST_ZONES]:
        folder = f"{_FOLDER}/{name}"
        kind = tree.text(f"{folder}/type", 256)
        if kind:
            found.append(Zone(kind, _celsius(tree, f"{folder}/temp"), _trips(tree, folder)))
    return tuple(found)


def hottest(root: Path = Path("/")) -> float | None:
    """Return the hottest thermal zone in degrees Celsius, without any the hottest hwmon sensor; None for no sensor.

    Many x86 machines have their processor's sensor under hwmon alone (Documentation/hwmon/sysfs-interface.rst). It is
    asked every second while something is measured, so it reads these files and no more.
    """
    tree = Tree(root)
    zone = hottest_zone(zones(tree))
    return zone.celsius if zone else max(filter(_is_running, _hwmon(tree)), default=None)


def hottest_zone(found: Iterable[Zone]) -> Zone | None:
    """Return the hottest zone that is connected; None where there is none."""
    connected = [zone for zone in found if _is_running(zone.celsius)]
    return max(connected, key=lambda zone: (zone.celsius, zone.name), default=None)


def _hwmon(tree: Tree) -> list[float]:
    base = "sys/class/hwmon"
    files = [f"{base}/{chip}/{name}" for chip in tree.names(base, "hwmon*")
             for name in tree.names(f"{base}/{chip}", "temp*_input")]  # fmt: skip
    return [value / 1000 for file in files if (value := tree.number(file)) is not None]


def _is_running(celsius: float | None) -> bool:
    return celsius is not None and _LOWEST_RUNNING <= celsius <= _HIGHEST_RUNNING


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
