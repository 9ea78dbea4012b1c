"""The cores: which of them this process may use, which are the big ones, and how many of them its quota leaves."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from edge_devices.cgroups import allowed_cores, cpu_quota
from edge_devices.cpu import Cpuinfo, architecture_of, core_kind, cpuinfo
from edge_devices.machine import Core
from edge_devices.tree import Tree, numbers

__all__ = ["allowed", "cores", "count", "online", "usable_cores"]

_CPU = "sys/devices/system/cpu"


def usable_cores(root: Path = Path("/")) -> int:
    """Return the processors this process may use, at least 1.

    Those of its affinity, its cpuset and online, or what the CPU quota of its cgroups leaves (v2 `cpu.max`, v1
    `cpu.cfs_quota_us` / `cpu.cfs_period_us`), rounded up: a container with 1.5 CPUs gets 2 threads. `root` is the
    root of the tree that /proc and /sys are read from, so that recorded trees of boards can be given.
    """
    tree = Tree(root)
    return count(allowed(tree, architecture_of(tree)), cpu_quota(tree))


def online(tree: Tree, found: Cpuinfo) -> tuple[int, ...]:
    """Return the numbers of the processors that are switched on (a Jetson's power mode switches some off)."""
    return tuple(numbers(tree.text(f"{_CPU}/online"))) or found.listed


def allowed(tree: Tree, architecture: str) -> list[int]:
    """Return the numbers of the processors that this process may use, ascending.

    Those of its affinity that are online and in its cpuset. What nobody tells limits nothing.
    """
    found = _affinity(tree)
    for others in (online(tree, cpuinfo(tree, architecture)), allowed_cores(tree)):
        both = sorted(set(found) & set(others)) if found else list(others)
        found = both or found
    if not found:  # a recorded tree without all of that is taken to be this machine's
        found = _scheduled()
    return found


def cores(tree: Tree, architecture: str) -> tuple[Core, ...]:
    """Return the cores that this process may use, big ones first: by capacity, then clock, then number."""
    found = cpuinfo(tree, architecture)
    hybrid = _hybrid(tree)
    listed = []
    for number in allowed(tree, architecture):
        folder = f"{_CPU}/cpu{number}"
        khz = tree.number(f"{folder}/cpufreq/cpuinfo_max_freq") or 0
        capacity = tree.number(f"{folder}/cpu_capacity") or 0
        kind = core_kind(*found.parts.get(number, _identification(tree, folder))) or hybrid.get(number, "")
        listed.append(Core(number, max(khz, 0) // 1000, max(capacity, 0), kind))
    return tuple(sorted(listed, key=lambda core: (-core.capacity, -core.mhz, core.number)))


def count(allowed: Sequence[int], quota: float | None) -> int:
    """Return how many threads can run at once, at least 1: the quota rounded up, 1.5 CPUs are 2 threads."""
    found = len(allowed) if quota is None else min(len(allowed), math.ceil(quota))
    return max(found, 1)


def _affinity(tree: Tree) -> list[int]:
    if tree.is_this_machine:
        return _scheduled()
    for line in tree.lines("proc/self/status"):
        name, _, value = line.partition(":")
        if name == "Cpus_allowed_list":
            return numbers(value.strip())
    return []


def _scheduled() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _identification(tree: Tree, folder: str) -> tuple[int, int]:
    """A core's implementer and part out of its MIDR register, which arm64 kernels show beside /proc/cpuinfo."""
    text = tree.text(f"{folder}/regs/identification/midr_el1", 64).removeprefix("0x")
    try:
        midr = int(text[:16], 16)
    except ValueError:
        return -1, -1
    return midr >> 24 & 0xFF, midr >> 4 & 0xFFF


def _hybrid(tree: Tree) -> dict[int, str]:
    """Intel's hybrid processors list their performance and efficiency cores as two units."""
    found = {}
    for kind in ("core", "atom"):
        found.update(dict.fromkeys(numbers(tree.text(f"sys/devices/cpu_{kind}/cpus")), f"intel-{kind}"))
    return found
