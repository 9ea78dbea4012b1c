"""What the processor is: how much of it this process may really use, and what it cannot do."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

__all__ = ["processor_name", "saturates_int8", "usable_cores"]


def usable_cores(root: Path = Path("/")) -> int:
    """Return the processors this process may use, at least 1.

    The smallest of the scheduler's affinity and the CPU quota of the cgroup (v2 `cpu.max`, v1
    `cpu.cfs_quota_us` / `cpu.cfs_period_us`), rounded up: a container with 1.5 CPUs gets 2 threads. `root` is the
    root of the tree that /sys/fs/cgroup is read from, so that recorded trees of boards can be given.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _quota(root / "sys/fs/cgroup")
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def processor_name(root: Path = Path("/")) -> str:
    """Return the processor's name as the system tells it, else its architecture."""
    for line in _cpuinfo(root):
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Hardware", "Model") and value.strip():
            return value.strip()
    return platform.machine()


def saturates_int8(root: Path = Path("/")) -> bool:
    """Tell whether this is an x86 without VNNI, which adds pairs of uint8 x int8 products in 16 bits: large ones are
    cut off, and a layer's answer is then plainly wrong. False where nobody tells (not Linux, not x86).
    """
    lines = _cpuinfo(root)
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return bool(flags) and not {"avx512_vnni", "avx_vnni"} & set(flags)


def _cpuinfo(root: Path) -> list[str]:
    try:
        return (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux: nobody tells
        return []


def _quota(cgroup: Path) -> float | None:
    """Return the quota in CPUs, None where there is none (or the files are not readable)."""
    unified = _words(cgroup / "cpu.max")
    if unified is not None:
        return _ratio(unified)
    quota, period = _words(cgroup / "cpu/cpu.cfs_quota_us"), _words(cgroup / "cpu/cpu.cfs_period_us")
    return _ratio([*quota, *period]) if quota and period else None


def _words(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None


def _ratio(words: list[str]) -> float | None:
    """Return quota / period of two numbers in microseconds; "max" and -1 mean that there is no quota."""
    if len(words) < 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])
