"""What was found out about the machine this runs on. Plain data; whatever nobody tells is "", 0, None or empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Core", "Machine", "Storage", "StorageKind", "Trip", "Zone"]

StorageKind = Literal["sd", "emmc", "nvme", "ssd", "hdd", "usb", "virtual", "unknown"]


@dataclass(frozen=True)
class Core:
    """One processor: its number, its highest clock in MHz, its capacity (0..1024, what Linux thinks), its kind."""

    number: int
    mhz: int = 0
    capacity: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Storage:
    """The disk below a folder: its device ("mmcblk0"), its kind, and how fast it read (bytes/s, None: not tried)."""

    device: str = ""
    kind: StorageKind = "unknown"
    read_bytes_per_s: float | None = None


@dataclass(frozen=True)
class Trip:
    """A temperature at which the kernel does something: `kind` is "passive", "hot", "critical", ..."""

    kind: str
    celsius: float


@dataclass(frozen=True)
class Zone:
    """One thermal zone: its type as the kernel names it, its temperature now, its trip points, ascending."""

    name: str
    celsius: float | None
    trips: tuple[Trip, ...] = ()


@dataclass(frozen=True)
class Machine:
    """`board` as it names itself (device tree, DMI), `compatible` its device tree's list,
    `l4t` NVIDIA's release ("36.3.0").

    `cores` are those that this process may use, big ones first; `usable_cores` how many of them its quota leaves.
    `memory_bytes`: what there is, the cgroup's limit if that is less. `throttled`: why the clocks are held down now,
    and `throttled_before` since boot, as words ("under-voltage", "temperature limit"). `online`: the numbers of all
    processors that are switched on, which may be more than `cores`.
    """

    architecture: str
    board: str = ""
    compatible: tuple[str, ...] = ()
    l4t: str = ""
    cpu: str = ""
    isa: frozenset[str] = frozenset()
    cores: tuple[Core, ...] = ()
    usable_cores: int = 1
    memory_bytes: int | None = None
    storage: Storage = Storage()
    zones: tuple[Zone, ...] = ()
    throttled: tuple[str, ...] = ()
    throttled_before: tuple[str, ...] = ()
    power_mode: str = ""
    container: bool = False
    online: tuple[int, ...] = ()
