"""Control groups around a measured process: memory without swap, storage bandwidth, processors (v1 and v2).

A group is a folder (v1: one in each controller's tree) named edge-bench-PID-N. The process joins it before it is
anything but a shell, so that all of its memory is charged there. Kernel documentation: admin-guide/cgroup-v1/memory,
admin-guide/cgroup-v1/blkio-controller and admin-guide/cgroup-v2.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UsageError
from edge_tools.bench.hierarchy import Hierarchy

__all__ = ["Caps", "Charges", "Group", "create_group"]

_PERIOD_US = 100_000
_NUMBERS = itertools.count()
_REMOVE_SECONDS = 2.0


@dataclass(frozen=True)
class Caps:
    """What a group may use; None is no cap. `devices` are the whole disks ("8:0") that `read_bytes_per_s` is for."""

    memory_bytes: int | None = None
    read_bytes_per_s: int | None = None
    devices: tuple[str, ...] = ()
    cpus: float | None = None

    def controllers(self) -> tuple[str, ...]:
        """Return the controllers that are needed, by their names in v2; memory is always counted."""
        return ("memory", *("io",) * (self.read_bytes_per_s is not None), *("cpu",) * (self.cpus is not None))


@dataclass(frozen=True)
class Charges:
    """What the kernel counted: processes it killed for memory, the most bytes, how often the limit was reached.

    `at_limit` stays 0 on kernels that no longer count it for version 1 (seen with Linux 6.18).
    """

    oom_kills: int
    at_limit: int
    most_bytes: int


@dataclass(frozen=True)
class Group:
    """A group's folders, the one that counts memory first."""

    version: int
    folders: tuple[Path, ...]

    def charges(self) -> Charges:
        """Return what was charged so far."""
        memory = self.folders[0]
        if self.version == 1:
            return Charges(
                _flat(memory / "memory.oom_control").get("oom_kill", 0),
                # With swap off both limits are the same, and the kernel asks the one with swap first.
                _number(memory / "memory.failcnt") + _number(memory / "memory.memsw.failcnt"),
                _number(memory / "memory.max_usage_in_bytes"),
            )
        events = _flat(memory / "memory.events")
        return Charges(events.get("oom_kill", 0), events.get("max", 0), _number(memory / "memory.peak"))

    def remove(self) -> None:
        """Remove the group once its processes are gone; the kernel needs a moment after the last one ended."""
        end = time.monotonic() + _REMOVE_SECONDS
        for folder in self.folders:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > end:
                        raise UsageError(
                            f"cannot remove the control group {folder}: {error.strerror}; end the processes listed in "
                            f"{folder / 'cgroup.procs'} and remove it with rmdir"
                        ) from error
                    time.sleep(0.01)
                else:
                    break


def create_group(hierarchy: Hierarchy, caps: Caps) -> Group:
    """Make a group with these caps. Raises UsageError where the kernel refuses; nothing is left behind then."""
    name = f"edge-bench-{os.getpid()}-{next(_NUMBERS)}"
    roots = dict.fromkeys(hierarchy.roots[controller] for controller in caps.controllers())
    group = Group(hierarchy.version, tuple(root / name for root in roots))
    try:
        for folder in group.folders:
            folder.mkdir()
        settings = _v1_settings if hierarchy.version == 1 else _v2_settings
        by_controller = {controller: hierarchy.roots[controller] / name for controller in caps.controllers()}
        for path, text in settings(by_controller, caps):
            path.write_text(text)
    except OSError as error:
        for folder in group.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise UsageError(
            f"--confine: the kernel refused {error.filename or group.folders[0]} ({error.strerror}); {hierarchy.advice}"
        ) from error
    return group


def _v1_settings(folders: dict[str, Path], caps: Caps) -> list[tuple[Path, str]]:
    settings = []
    if caps.memory_bytes is not None:
        memory = folders["memory"]
        # The sum with swap may not be below the limit, so it comes second: equal, and nothing can be swapped out.
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        settings = [(memory / name, str(caps.memory_bytes)) for name in names]
        settings.append((memory / "memory.swappiness", "0"))
    if caps.read_bytes_per_s is not None:
        path = folders["io"] / "blkio.throttle.read_bps_device"
        settings += [(path, f"{device} {caps.read_bytes_per_s}") for device in caps.devices]
    if caps.cpus is not None:
        settings += [
            (folders["cpu"] / "cpu.cfs_period_us", str(_PERIOD_US)),
            (folders["cpu"] / "cpu.cfs_quota_us", str(round(caps.cpus * _PERIOD_US))),
        ]
    # Kernels without swap accounting do not have every one of them.
    optional = {"memory.memsw.limit_in_bytes", "memory.swappiness"}
    return [(path, text) for path, text in settings if path.name not in optional or path.exists()]


def _v2_settings(folders: dict[str, Path], caps: Caps) -> list[tuple[Path, str]]:
    settings = []
    folder = folders["memory"]
    if caps.memory_bytes is not None:
        settings.append((folder / "memory.max", str(caps.memory_bytes)))
        if (folder / "memory.swap.max").exists():
            settings.append((folder / "memory.swap.max", "0"))
    if caps.read_bytes_per_s is not None:
        settings += [(folder / "io.max", f"{device} rbps={caps.read_bytes_per_s}") for device in caps.devices]
    if caps.cpus is not None:
        settings.append((folder / "cpu.max", f"{round(caps.cpus * _PERIOD_US)} {_PERIOD_US}"))
    return settings


def _flat(path: Path) -> dict[str, int]:
    """Read a file of `key number` lines."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:  # a kernel that does not count this
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # memory.peak came with Linux 5.19
        return 0
