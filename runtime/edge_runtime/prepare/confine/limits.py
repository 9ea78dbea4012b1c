"""Limits of a process's memory, files and processor time, kept by the kernel (setrlimit(2), prctl(2)).

Memory is bounded by RLIMIT_DATA, which counts what is private and can be written: a bundle's mapped weights and the
libraries do not count, where RLIMIT_AS would count them. It counts what is reserved, touched or not; whoever sets it
adds what will only be reserved.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["die_with_parent", "limit_data", "limit_files", "limit_seconds", "no_core", "no_new_privileges"]

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h


def limit_data(more: int) -> bool:
    """Let this process take `more` bytes of memory of its own than it has now; whether the system keeps to that."""
    taken = _vm_data()
    return taken is not None and _limit("RLIMIT_DATA", taken + max(more, 0))


def limit_files(most: int) -> bool:
    """Let no file that this process writes become larger than `most` bytes."""
    return _limit("RLIMIT_FSIZE", most)


def limit_seconds(more: float) -> bool:
    """Let the kernel end this process (SIGXCPU) after so many more seconds of processor time; again: from then on."""
    return _limit("RLIMIT_CPU", math.ceil(time.process_time() + more), soft_alone=True)


def no_core() -> bool:
    """Write no core file: it would be the size of the process."""
    return _limit("RLIMIT_CORE", 0)


def no_new_privileges() -> bool:
    """Let no program that this process becomes have more rights than it has (set-user-id bits count for nothing)."""
    return _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> bool:
    """End this process when the one that started it ends, however that ends."""
    parent = os.getppid()
    done = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if done and os.getppid() != parent:  # it has ended meanwhile
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def _limit(name: str, value: int, soft_alone: bool = False) -> bool:
    try:
        import resource
    except ImportError:  # not a Unix
        return False
    kind = getattr(resource, name, None)
    if kind is None:
        return False
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(kind, (value, hard if soft_alone else value))
    except (OSError, ValueError):
        return False
    return True


def _vm_data() -> int | None:
    """What RLIMIT_DATA counts of this process now, in bytes. (Linux alone counts mappings, too.)"""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
                if line.startswith("VmData:"):
                    return int(line.split()[1]) << 10
    return None


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None), "prctl", None)
    unused = ctypes.c_ulong(0)
    return call is not None and call(option, ctypes.c_ulong(value), unused, unused, unused) == 0
