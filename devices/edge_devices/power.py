"""What this machine draws, where it has a sensor: Jetson's INA3221, Intel's and AMD's RAPL, the Raspberry Pi 5's PMIC.

A sensor gives figures; what was used between two readings is joules. Most are a power in watts (so joules are a
trapezoid between two moments), RAPL is a counter of joules that starts over. Sources: kernel documentation
hwmon/ina3221 and power/powercap; NVIDIA's Jetson Linux guide for the names of the rails; raspberrypi.com on vcgencmd.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_devices.commands import Runner, ask, ask_nobody
from edge_devices.tree import Tree

__all__ = ["Consumption", "FoundSensor", "Meter", "PowerSensor", "find_power_sensor", "parse_pmic"]

# What goes into the whole module or board: the other rails of such a chip are parts of it.
_TOTALS = frozenset({"VDD_IN", "POM_5V_IN", "5V_IN"})
# Fed by another rail that is measured too (AGX Orin: by VIN_SYS_5V0, whose voltage it shows).
_PARTS = frozenset({"VDDQ_VDD2_1V8AO"})
_PMIC_LINE = re.compile(r"\s*(\S+)_([AV])\s+(?:current|volt)\([0-9]+\)=([0-9.]+)[AV]\s*")
_PMIC_COMMAND = ("vcgencmd", "pmic_read_adc")
_WITH_PMIC = ("Raspberry Pi 5", "Raspberry Pi Compute Module 5")  # the Raspberry Pi 500 too


class PowerSensor(Protocol):
    """Something that measures. `covers` says of what; `period_s` is how often it is worth asking."""

    @property
    def name(self) -> str: ...

    @property
    def covers(self) -> str: ...

    @property
    def period_s(self) -> float: ...

    def read(self) -> tuple[float, ...] | None:
        """Return the sensor's figures now; None where it gives none this time."""
        ...

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        """Return what was used between two readings."""
        ...


@dataclass(frozen=True)
class FoundSensor:
    """The sensor, or None and why there is none (one clause)."""

    sensor: PowerSensor | None
    why: str = ""


@dataclass(frozen=True)
class Consumption:
    """What was used in how long."""

    joules: float
    seconds: float

    @property
    def watts(self) -> float:
        """Return the mean power."""
        return self.joules / self.seconds


@dataclass(frozen=True)
class _Rail:
    """A file of microwatts or milliwatts (one path), or two of millivolts and milliamperes; `scale` makes watts."""

    name: str
    files: tuple[Path, ...]
    scale: float

    def watts(self) -> float | None:
        product = self.scale
        for file in self.files:
            value = _number(file)
            if value is None:
                return None
            product *= value
        return product


@dataclass(frozen=True)
class _Rails:
    """Rails of a power monitor, added up."""

    name: str
    covers: str
    rails: tuple[_Rail, ...]
    period_s: float = 0.1

    def read(self) -> tuple[float, ...] | None:
        found = [rail.watts() for rail in self.rails]
        known = [watts for watts in found if watts is not None]
        return (sum(known),) if len(known) == len(found) else None

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        return _trapezoid(before, after, seconds)


@dataclass(frozen=True)
class _Rapl:
    """Counters of microjoules that start over above `ranges`."""

    name: str
    covers: str
    counters: tuple[Path, ...]
    ranges: tuple[float, ...]
    period_s: float = 0.5

    def read(self) -> tuple[float, ...] | None:
        found = [_number(counter) for counter in self.counters]
        known = [value for value in found if value is not None]
        return tuple(known) if len(known) == len(found) else None

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        steps = zip(before, after, self.ranges, strict=True)
        return sum((new - old) if new >= old else (new - old + span) for old, new, span in steps) / 1e6


@dataclass(frozen=True)
class _Pmic:
    """The Raspberry Pi 5's power chip, asked through its firmware."""

    asked: Runner
    name: str = "Raspberry Pi 5 PMIC"
    covers: str = "the rails behind the PMIC; its losses and what hangs on USB come on top"
    period_s: float = 0.5  # each reading is a process of its own

    def read(self) -> tuple[float, ...] | None:
        rails = parse_pmic(self.asked(_PMIC_COMMAND))
        return (sum(rails.values()),) if rails else None

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        return _trapezoid(before, after, seconds)


class Meter:
    """Adds up what a sensor says: call `sample` with the time now and then, and at both ends."""

    def __init__(self, sensor: PowerSensor) -> None:
        self._sensor = sensor
        self._last: tuple[float, tuple[float, ...]] | None = None
        self._joules = self._seconds = 0.0

    def sample(self, now_s: float) -> None:
        """Read the sensor; what gave no figure is bridged by the next reading."""
        figures = self._sensor.read()
        if figures is None:
            return
        if self._last is not None and now_s > self._last[0]:
            seconds = now_s - self._last[0]
            self._joules += self._sensor.joules(self._last[1], figures, seconds)
            self._seconds += seconds
        self._last = (now_s, figures)

    def result(self) -> Consumption | None:
        """Return what was used between the first reading and the last; None for less than two."""
        return Consumption(self._joules, self._seconds) if self._seconds > 0 else None


def find_power_sensor(root: Path = Path("/"), asked: Runner | None = None) -> FoundSensor:
    """Return the sensor of this machine that covers most; never raises.

    `root` is the tree that /sys and /proc are read from; `asked` runs commands (None: for real, but on a recorded
    tree not at all).
    """
    tree = Tree(root)
    run = asked or (ask if tree.is_this_machine else ask_nobody)
    for found in (_find_rails(root), _find_pmic(tree, run), _find_rapl(root)):
        if found is not None:
            if found.sensor is not None and found.sensor.read() is None:
                return FoundSensor(None, f"{found.sensor.name} is there but gives no figure")
            return found
    return FoundSensor(None, "no power sensor was found")


def parse_pmic(text: str) -> dict[str, float]:
    """Return watts by rail from the output of `vcgencmd pmic_read_adc`: those with both a current and a voltage."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        match = _PMIC_LINE.fullmatch(line)
        value = None if match is None else _float(match[3])
        if match is not None and value is not None:
            found.setdefault(match[1], {})[match[2]] = value
    return {rail: both["A"] * both["V"] for rail, both in found.items() if len(both) == 2}


def _find_rails(root: Path) -> FoundSensor | None:
    rails = [*_hwmon_rails(root / "sys/class/hwmon"), *_jetpack4_rails(root / "sys/bus/i2c/drivers/ina3221x")]
    if not rails:
        return None
    totals = [rail for rail in rails if rail.name in _TOTALS]
    taken = totals[:1] or [rail for rail in rails if rail.name not in _PARTS]
    names = ", ".join(rail.name for rail in taken)
    covers = f"all that the module takes in ({names})" if totals else f"the rails {names}, added up"
    return FoundSensor(_Rails("INA3221" if len(rails) > 1 else "power monitor", covers, tuple(taken)))


def _hwmon_rails(folder: Path) -> list[_Rail]:
    """Rails of the INA chips that Linux's hwmon knows (JetPack 5 and later, and boards with an INA of their own)."""
    rails = []
    for chip in _sorted(folder, "hwmon*"):
        if not _word(chip / "name").startswith("ina"):
            continue
        powers = _sorted(chip, "power*_input")
        for power in powers:
            rails.append(_Rail(_word(chip / power.name.replace("_input", "_label")) or chip.name, (power,), 1e-6))
        for current in [] if powers else _sorted(chip, "curr[0-9]*_input"):
            number = current.name.removeprefix("curr").removesuffix("_input")
            volts, name = chip / f"in{number}_input", _word(chip / f"in{number}_label")
            # The chip also gives the sum of its shunts as a fourth current, which has no voltage.
            if volts.exists() and name not in ("", "NC") and not name.startswith("sum of"):
                rails.append(_Rail(name, (volts, current), 1e-6))
    return rails


def _jetpack4_rails(driver: Path) -> list[_Rail]:
    """Rails as NVIDIA's older driver shows them (Jetson Nano, Xavier NX under JetPack 4): milliwatts."""
    rails: list[_Rail] = []
    for device in [*_sorted(driver, "*/iio:device*"), *_sorted(driver, "*/iio_device")]:
        for power in _sorted(device, "in_power*_input"):
            number = power.name.removeprefix("in_power").removesuffix("_input")
            name = _word(device / f"rail_name_{number}")
            if name not in ("", "NC") and not any(rail.name == name for rail in rails):
                rails.append(_Rail(name, (power,), 1e-3))
    return rails


def _find_pmic(tree: Tree, asked: Runner) -> FoundSensor | None:
    if not tree.text("proc/device-tree/model").startswith(_WITH_PMIC):
        return None
    return FoundSensor(_Pmic(asked))


def _find_rapl(root: Path) -> FoundSensor | None:
    zones = {zone: _word(zone / "name") for zone in _sorted(root / "sys/class/powercap", "intel-rapl:*")}
    # Cores and graphics are zones too, parts of the package's; its memory is not.
    taken = [zone for zone, name in zones.items() if name.startswith("package") or name == "dram"]
    if not taken:
        return None
    counters = tuple(zone / "energy_uj" for zone in taken)
    if any(not _readable(counter) for counter in counters):
        return FoundSensor(None, "RAPL is there, but only root may read it (energy_uj)")
    ranges = tuple(_number(zone / "max_energy_range_uj") or float(1 << 32) for zone in taken)
    covers = "the processor package" + (" and its memory" if "dram" in zones.values() else "")
    return FoundSensor(_Rapl("RAPL", f"{covers}, not the board around it", counters, ranges))


def _trapezoid(before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
    return (sum(before) + sum(after)) / 2 * seconds


def _sorted(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    return _float(_word(path))


def _float(text: str) -> float | None:
    """Return a plain number; a current just below nothing is an idle rail's noise, a word or no answer no figure."""
    return max(float(text), 0.0) if re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,12})?", text) else None


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
