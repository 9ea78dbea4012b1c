"""Where control groups can be made: the mounted trees, what is delegated to this process, which disk a file is on."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UsageError

__all__ = ["Hierarchy", "disks_of", "open_hierarchy"]

_NEEDS = (
    "--confine needs root, or a control group of its own: "
    "systemd-run --user --scope -p Delegate=yes edge-bench ... --confine"
)
_V1_NAMES = {"memory": "memory", "io": "blkio", "cpu": "cpu"}
_SWITCHED_OFF = (
    "the kernel has the {0} controller switched off (on Raspberry Pi OS add cgroup_enable=memory to "
    "/boot/firmware/cmdline.txt and reboot) or nobody mounted it; " + _NEEDS
)
_GROUP = re.compile(r"edge-bench-([0-9]+)-[0-9]+")


@dataclass(frozen=True)
class Hierarchy:
    """The folder in which groups are made, for each controller by its name in v2 ("memory", "io", "cpu")."""

    version: int
    roots: Mapping[str, Path]
    advice: str = _NEEDS


@contextlib.contextmanager
def open_hierarchy(controllers: Iterable[str], root: Path = Path("/")) -> Iterator[Hierarchy]:
    """Find where groups with these controllers can be made; what had to be changed for it is undone at the end.

    `root` is the tree that /proc and /sys are read from. Raises UsageError that says which right is missing.
    """
    wanted = tuple(controllers)
    mounts = [line.split() for line in (root / "proc/mounts").read_text().splitlines()]
    own = _own_groups((root / "proc/self/cgroup").read_text())
    v1 = {option: root / mount[1].lstrip("/") for mount in mounts if mount[2] == "cgroup"
          for option in mount[3].split(",")}  # fmt: skip
    if "memory" in v1:
        hierarchy = _v1(wanted, v1, own)
        _remove_leftovers(hierarchy)
        yield hierarchy
        return
    unified = [root / mount[1].lstrip("/") for mount in mounts if mount[2] == "cgroup2"]
    if not unified:
        raise UsageError("--confine: no control groups are mounted (expected /sys/fs/cgroup); mount them, or use Linux")
    with _v2(wanted, unified[0], own.get("", "/")) as hierarchy:
        _remove_leftovers(hierarchy)
        yield hierarchy


def disks_of(paths: Iterable[Path], sys: Path = Path("/sys")) -> tuple[str, ...]:
    """Return the whole disks ("8:0") that these paths lie on. Raises UsageError where there is none of its own."""
    disks: dict[str, None] = {}
    for path in paths:
        number = path.stat().st_dev
        name = f"{os.major(number)}:{os.minor(number)}"
        device = sys / "dev/block" / name
        if not device.exists():
            raise UsageError(
                f"--storage-mb-per-s: {path} lies on no disk of its own (tmpfs, overlay, btrfs or network); copy it to "
                "a plain file system such as ext4"
            )
        # The kernel throttles whole disks; a partition's folder lies in its disk's.
        device = device.resolve()
        if (device / "partition").exists():
            name = (device.parent / "dev").read_text().strip()
        disks[name] = None
    return tuple(disks)


def _own_groups(text: str) -> dict[str, str]:
    """Return this process's group by controller; v2's has the name ""."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _v1(wanted: Iterable[str], mounted: Mapping[str, Path], own: Mapping[str, str]) -> Hierarchy:
    roots = {}
    for controller in wanted:
        name = _V1_NAMES[controller]
        if name not in mounted:
            raise UsageError(f"--confine: {_SWITCHED_OFF.format(name)}")
        top = mounted[name]
        # Root takes the tree's top (which inside a container is the container's own), others what they were given.
        for place in (top, top / own.get(name, "/").lstrip("/")):
            if os.access(place, os.W_OK):
                roots[controller] = place
                break
        else:
            raise UsageError(f"--confine: {top} cannot be written; {_NEEDS}")
    return Hierarchy(1, roots)


@contextlib.contextmanager
def _v2(wanted: tuple[str, ...], top: Path, own: str) -> Iterator[Hierarchy]:
    places = [place for place in (top, top / own.lstrip("/")) if os.access(place / "cgroup.procs", os.W_OK)]
    if not places:
        raise UsageError(f"--confine: {top} cannot be written; {_NEEDS}")
    place = places[0]
    present = (place / "cgroup.controllers").read_text().split()
    if missing := [controller for controller in wanted if controller not in present]:
        raise UsageError(f"--confine: {_SWITCHED_OFF.format(missing[0])}")
    switch = place / "cgroup.subtree_control"
    enabled = switch.read_text().split()
    new = [controller for controller in wanted if controller not in enabled]
    seat = place / f"edge-bench-seat-{os.getpid()}"
    try:
        if new:
            _enable(switch, new, seat)
        yield Hierarchy(2, dict.fromkeys(wanted, place))
    finally:
        if new:
            with contextlib.suppress(OSError):
                switch.write_text(" ".join(f"-{controller}" for controller in new))
        if seat.exists():
            with contextlib.suppress(OSError):
                (place / "cgroup.procs").write_text(str(os.getpid()))
                seat.rmdir()


def _enable(switch: Path, controllers: list[str], seat: Path) -> None:
    """Hand controllers down to the groups below. A group with processes of its own may not: this one moves down."""
    text = " ".join(f"+{controller}" for controller in controllers)
    try:
        try:
            switch.write_text(text)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            seat.mkdir()
            (seat / "cgroup.procs").write_text(str(os.getpid()))
            switch.write_text(text)
    except OSError as error:
        raise UsageError(f"--confine: the kernel refused {switch} ({error.strerror}); {_NEEDS}") from error


def _remove_leftovers(hierarchy: Hierarchy) -> None:
    """Remove groups of an edge-bench that was killed before it could; one that is in use refuses to go."""
    for place in set(hierarchy.roots.values()):
        for folder in place.glob("edge-bench-*"):
            match = _GROUP.fullmatch(folder.name)
            if match and not Path("/proc", match[1]).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
