"""How much memory there is, and how much this process may still take: the system's, and its cgroup's."""

from __future__ import annotations

from pathlib import Path

from edge_devices.cgroups import UNLIMITED, memory_groups, memory_limit
from edge_devices.tree import Tree, integer

__all__ = ["available_memory", "total_memory"]


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be taken before something else has to go; None where the system does not tell.

    The smaller of MemAvailable and what the memory cgroup's limit leaves beside the pages that its processes own; page
    cache gives way. `root` is the root of the tree that /proc and /sys are read from, so that recorded trees can be
    given.
    """
    tree = Tree(root)
    found = [size for size in (_system(tree, "MemAvailable"), _room(tree)) if size is not None]
    return max(min(found), 0) if found else None


def total_memory(tree: Tree) -> int | None:
    """Return the bytes that there are: the system's, or the cgroup's limit if that is less; None if nobody tells."""
    found = [size for size in (_system(tree, "MemTotal"), memory_limit(tree)) if size is not None]
    return min(found) if found else None


def _system(tree: Tree, name: str) -> int | None:
    fields = _fields(tree, "proc/meminfo", ":")
    return None if name not in fields else fields[name] << 10


def _room(tree: Tree) -> int | None:
    """The least room that a group leaves: a limit holds for all groups within."""
    rooms = []
    for folder, name, owned in memory_groups(tree):
        limit = tree.number(f"{folder}/{name}")
        if limit is not None and 0 <= limit < UNLIMITED:
            stat = _fields(tree, f"{folder}/memory.stat", " ")
            rooms.append(limit - sum(stat.get(name, 0) for name in owned))
    return min(rooms, default=None)


def _fields(tree: Tree, path: str, separator: str) -> dict[str, int]:
    found = {}
    for line in tree.lines(path):
        name, _, value = line.partition(separator)
        number = integer(value.split()[0]) if value.split() else None
        if number is not None:
            found[name] = number
    return found
