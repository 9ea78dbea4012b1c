"""This process's control groups, of versions 1 and 2: what a container or a service may use of the machine.

A group's limit holds for all groups within, so of the groups on the path the smallest limit counts. In a container
/proc/self/cgroup may name a path of the host that is not there; then the mount itself is the group.
"""

from __future__ import annotations

from edge_devices.tree import Tree, integer, numbers

__all__ = ["UNLIMITED", "allowed_cores", "cpu_quota", "in_container", "memory_groups", "memory_limit"]

_MOUNT = "sys/fs/cgroup"
_DEEPEST = 64
UNLIMITED = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63
_CONTAINERS = ("docker", "kubepods", "containerd", "libpod", "lxc", "machine.slice/machine-")
_MARKS = (".dockerenv", "run/.containerenv", "run/systemd/container")


def cpu_quota(tree: Tree) -> float | None:
    """Return the CPUs that the groups' quotas leave (v2 `cpu.max`, v1 `cpu.cfs_quota_us`); None without a quota."""
    found = [_ratio(tree.text(f"{folder}/cpu.max", 64).split()) for folder in _unified(tree)]
    for folder in _groups(tree, "cpu"):
        words = [tree.text(f"{folder}/cpu.cfs_{name}_us", 64) for name in ("quota", "period")]
        found.append(_ratio(words))
    return min((quota for quota in found if quota is not None), default=None)


def allowed_cores(tree: Tree) -> list[int]:
    """Return the processors of the innermost cpuset that names some, [] if none does."""
    for folder in _unified(tree):
        found = numbers(tree.text(f"{folder}/cpuset.cpus.effective"))
        if found:
            return found
    for folder in _groups(tree, "cpuset"):
        for name in ("cpuset.effective_cpus", "cpuset.cpus"):
            found = numbers(tree.text(f"{folder}/{name}"))
            if found:
                return found
    return []


def memory_limit(tree: Tree) -> int | None:
    """Return the bytes that the groups may have; None without a limit."""
    limits = [tree.number(f"{folder}/{name}") for folder, name, _ in memory_groups(tree)]
    return min((limit for limit in limits if limit is not None and 0 <= limit < UNLIMITED), default=None)


def memory_groups(tree: Tree) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the memory groups, innermost first, each with its limit's file and memory.stat's names of owned pages."""
    groups = [(folder, "memory.max", ("anon", "shmem", "kernel")) for folder in _unified(tree)]
    v1 = ("total_rss", "total_shmem")
    return groups + [(folder, "memory.limit_in_bytes", v1) for folder in _groups(tree, "memory")]


def in_container(tree: Tree) -> bool:
    """Tell whether this process runs in a container, as far as it shows."""
    if any(tree.exists(mark) for mark in _MARKS):
        return True
    return any(word in path for path in _paths(tree).values() for word in _CONTAINERS)


def _paths(tree: Tree) -> dict[str, str]:
    """/proc/self/cgroup: the path of each controller; "" is version 2."""
    found = {}
    for line in tree.lines("proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _unified(tree: Tree) -> list[str]:
    path = _paths(tree).get("", "/")
    return _chain(_MOUNT, path) + _chain(f"{_MOUNT}/unified", path)


def _groups(tree: Tree, controller: str) -> list[str]:
    return _chain(f"{_MOUNT}/{controller}", _paths(tree).get(controller, "/"))


def _chain(mount: str, path: str) -> list[str]:
    """The folders from a group up to its mount."""
    parts = [part for part in path.split("/") if part not in ("", "..", ".")][:_DEEPEST]
    return ["/".join([mount, *parts[:count]]) for count in range(len(parts), -1, -1)]


def _ratio(words: list[str]) -> float | None:
    """Return quota / period of two numbers in microseconds; "max" and -1 mean that there is no quota."""
    quota, period = (integer(word) for word in words) if len(words) == 2 else (None, None)
    return quota / period if quota is not None and period else None
