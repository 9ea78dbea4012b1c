"""Which start of the machine this is: times of its monotonic clock are comparable within one."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

__all__ = ["boot_id"]


@functools.cache
def boot_id() -> str:
    """Return what tells this start of the machine from others, "" where the system does not."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
