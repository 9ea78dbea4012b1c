"""Look at a machine: every probe in turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_devices.bandwidth import brief_speed
from edge_devices.board import board_name, compatible, l4t_release
from edge_devices.cgroups import cpu_quota, in_container
from edge_devices.commands import Runner, ask, ask_nobody
from edge_devices.cores import cores, count, online
from edge_devices.cpu import architecture_of, cpuinfo
from edge_devices.machine import Machine
from edge_devices.memory import total_memory
from edge_devices.power_mode import power_mode
from edge_devices.storage import storage_below
from edge_devices.thermal import zones
from edge_devices.throttle import throttling
from edge_devices.tree import Tree

__all__ = ["look", "look_at", "processor"]


def look(root: Path = Path("/"), folder: Path | None = None, file: Path | None = None) -> Machine:
    """Find out about the machine whose /proc, /sys, /etc and /dev lie below `root`. Never raises.

    `folder`: the one whose disk is meant, by default the working folder. `file`: read for up to half a second past the
    page cache to see how fast that disk is; None: not tried. Takes some milliseconds without.
    """
    tree = Tree(root)
    found = look_at(tree, folder, ask if tree.is_this_machine else ask_nobody)
    if file is None:
        return found
    return replace(found, storage=replace(found.storage, read_bytes_per_s=brief_speed(file)))


def look_at(tree: Tree, folder: Path | None = None, ask: Runner = ask_nobody) -> Machine:
    """Do the same on a tree, which then knows what was read of it; commands are asked of `ask`."""
    found = processor(tree)
    board, l4t = board_name(tree), l4t_release(tree)
    throttled, before = throttling(tree, board, ask)
    return replace(
        found,
        board=board,
        compatible=compatible(tree),
        l4t=l4t,
        memory_bytes=total_memory(tree),
        storage=storage_below(tree, _place(tree, folder)),
        zones=zones(tree),
        throttled=throttled,
        throttled_before=before,
        power_mode=power_mode(tree, l4t, ask),
        container=in_container(tree),
    )


def processor(tree: Tree) -> Machine:
    """Find out about the processor alone."""
    architecture = architecture_of(tree)
    told = cpuinfo(tree, architecture)
    mine = cores(tree, architecture)
    return Machine(
        architecture=architecture,
        cpu=told.name,
        isa=told.isa,
        cores=mine,
        usable_cores=count([core.number for core in mine], cpu_quota(tree)),
        online=online(tree, told),
    )


def _place(tree: Tree, folder: Path | None) -> str:
    """The folder's path below the root; the working folder can be gone."""
    if folder is None and not tree.is_this_machine:
        return "/"
    try:
        return str((folder or Path.cwd()).resolve()) if tree.is_this_machine else f"/{folder}".replace("//", "/")
    except (OSError, RuntimeError, ValueError):
        return "/"
