"""What this process takes of memory, and how its C library gives memory back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ARENA_NAME",
    "Memory",
    "Share",
    "keep_freed_memory",
    "keeps_freed_memory",
    "memory",
    "most_beside",
    "note_beside",
    "reset_peak",
    "return_freed_memory",
    "share_of",
    "tune_allocator",
]

# mallopt(3), glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 128 << 10
_MOST_MMAP = 32 << 20  # the most that glibc takes for a threshold: half of a heap of 64 MB
_NO_TRIM = 1 << 30
_keeps = False
_beside = (0, 0)

# Of memory that a process maps several times (memfd_create(2)), by which it is known again in /proc.
ARENA_NAME = "edgeline-arena"


@dataclass(frozen=True)
class Memory:
    """Bytes of this process in memory now, those of its own (not of files or shared), and the most since reset_peak.

    Pages of ARENA_NAME count once, however often they are mapped; in the peak so many mappings of them are left out as
    there are now.
    """

    resident: int
    own: int
    peak: int


def memory() -> Memory:
    """Read /proc/self/status; elsewhere the peak stands for all three (getrusage(2))."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource  # not on every system

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Memory(peak, peak, peak)
    found = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.endswith("kB")}
    kib = {name: int(found.get(name, "0")) << 10 for name in ("VmRSS", "RssAnon", "RssShmem", "VmHWM")}
    again = _mapped_again() if kib["RssShmem"] else 0
    return Memory(kib["VmRSS"] - again, kib["RssAnon"], kib["VmHWM"] - again)


def _mapped_again() -> int:
    """What VmRSS counts of ARENA_NAME beyond what it takes: the proportional set size counts a page once."""
    try:
        text = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found, inside = 0, False
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        if key == "Rss" and inside:
            found += int(rest.split()[0]) << 10
        elif key == "Pss" and inside:
            found -= int(rest.split()[0]) << 10
        elif "-" in key:  # the first line of a mapping: its addresses
            inside = f"/memfd:{ARENA_NAME} " in line
    return max(found, 0)


@dataclass(frozen=True)
class Share:
    """Bytes of another process: its pages now, those that several have counted in parts (proportional set size), and
    about the most that this has been.
    """

    now: int
    peak: int


def share_of(pid: int) -> Share | None:
    """Return what another process adds to what a group of processes takes; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        lines += Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended, or is another user's
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.endswith(" kB")}
    now, resident = kib.get("Pss", 0), kib.get("VmRSS", 0)
    return Share(now, now + max(0, kib.get("VmHWM", 0) - resident))


def note_beside(own: int, child: int) -> None:
    """Keep that a child took `child` bytes of its own while this process had `own`."""
    global _beside
    _beside = max(_beside, (own, child), key=sum)


def most_beside() -> tuple[int, int]:
    """The bytes of this process and of a child that prepared something, when they came to most; 0, 0: none did."""
    return _beside


def reset_peak() -> None:
    """Let `memory().peak` count from now on (proc(5), clear_refs); where the system cannot, it goes on counting."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def tune_allocator() -> None:
    """Make glibc give large blocks back to the system as soon as they are freed, and keep few heaps.

    Its own threshold grows with what a program frees, after which freed weights stay in the process. Nothing happens
    with another C library.
    """
    global _keeps
    _keeps = False
    mallopt = _libc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _LARGE)
        mallopt(_M_ARENA_MAX, 2)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for whoever asks next, but for blocks above 32 MB.

    For a process that does one thing over and over, in buffers of one size: what it holds then rises to the most that
    it needs at a time, within seconds, and stays there. glibc's own thresholds follow what a program frees, so that the
    same buffer is sometimes mapped and sometimes not, and each is filled with zeros by the kernel before it is used.
    Nothing happens with another C library.
    """
    global _keeps
    mallopt = _libc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MOST_MMAP)
        mallopt(_M_TRIM_THRESHOLD, _NO_TRIM)
        _keeps = True


def keeps_freed_memory() -> bool:
    """Whether it does: then what is taken and freed once is there when it is needed."""
    return _keeps


def return_freed_memory() -> None:
    """Give what the C library holds free back to the system (malloc_trim(3))."""
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str) -> ctypes._NamedFuncPointer | None:
    if os.name != "posix":
        return None
    return getattr(ctypes.CDLL(None), name, None)
