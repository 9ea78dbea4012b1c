"""What this machine is, in a few facts that go with every figure measured on it."""

from __future__ import annotations

import platform
from pathlib import Path

from edge_devices import processor_name, usable_cores
from edge_tools.bench.cases import Host

__all__ = ["available_bytes", "describe_host"]


def describe_host(onnxruntime: str, page_cache: str, root: Path = Path("/")) -> Host:
    """Return the machine's facts, read from /proc below `root`, and the two that only the caller knows."""
    return Host(
        cpu=_cpu(root),
        cores=usable_cores(),
        memory_bytes=_meminfo(root, "MemTotal"),
        kernel=platform.release(),
        python=platform.python_version(),
        onnxruntime=onnxruntime,
        page_cache=page_cache,
    )


def available_bytes(root: Path = Path("/")) -> int:
    """Return the memory that new processes could take without anything being swapped out."""
    return _meminfo(root, "MemAvailable")


def _cpu(root: Path) -> str:
    """Return the board's name where the firmware tells it (ARM), else the processor's."""
    board = root / "proc/device-tree/model"
    if board.exists():
        return board.read_text(errors="replace").rstrip("\0\n")
    return processor_name(root)


def _meminfo(root: Path, key: str) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/meminfo has no {key}")
