"""Errors of a system that is short of something, told as what they are: memory, open files.

A library that finds no memory says so in its own words: a shared object that "failed to map segment", a bad_alloc, a
thread that cannot be started. Taken for what they look like, they send people to install what is there.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from edge_runtime.errors import EdgelineError, EngineError, MemoryLimitError
from edge_runtime.files.sizes import format_size

__all__ = ["memory_is_limited", "near_limits", "says_shortage", "shortage"]

_WORDS = (
    "cannot allocate memory",
    "failed to map segment",
    "failed to allocate",
    "unable to allocate",
    "bad_alloc",
    "bad allocation",
    "insufficient memory",
    "out of memory",
    "out-of-memory",
    "can't start new thread",
    "cannot create thread",
)
_NEAR = 0.75  # of a limit: what one allocation wants may be large


def shortage(error: BaseException) -> EdgelineError | None:
    """Return the error to end with where `error`, or what caused it, is for lack of memory or of descriptors."""
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) else None
        said = " ".join(str(seen).split())
        if number in (errno.EMFILE, errno.ENFILE):
            return EngineError(
                f"too many files are open: this process may have {_limit('RLIMIT_NOFILE')} (ulimit -n); raise that"
            )
        if isinstance(seen, MemoryError) or number == errno.ENOMEM or says_shortage(said):
            what = said[:200] or "an allocation was refused"
            return MemoryLimitError(f"there is too little memory for this process{_memory_limits()}: {what}")
        seen = seen.__cause__ or seen.__context__
    return None


def says_shortage(text: str) -> bool:
    """Whether a library's words are those of a lack of memory."""
    return any(words in text.lower() for words in _WORDS)


def memory_is_limited() -> bool:
    """Whether this process may have only so much address space, or data (ulimit -v, -d)."""
    return bool(_limit("RLIMIT_AS") or _limit("RLIMIT_DATA"))


def near_limits() -> str:
    """Say which limit of this process was nearly reached, the likely cause of an error that names none; "" for none."""
    for name, peak, words in (
        ("RLIMIT_AS", "VmPeak:", "address space (ulimit -v)"),
        ("RLIMIT_DATA", "VmData:", "data (ulimit -d)"),
    ):
        limit, used = _limit(name), _status(peak)
        if limit and used > _NEAR * limit:
            return f"this process took {format_size(used)} of the {format_size(limit)} of {words} it may have"
    most = _limit("RLIMIT_NOFILE")
    with contextlib.suppress(OSError):
        if most and sum(1 for _ in Path("/proc/self/fd").iterdir()) + 2 >= most:
            return f"this process has open nearly all of the {most} files that it may (ulimit -n)"
    return ""


def _memory_limits() -> str:
    limits = [(_limit("RLIMIT_AS"), "ulimit -v"), (_limit("RLIMIT_DATA"), "ulimit -d")]
    words = [f"{format_size(limit)} ({flag})" for limit, flag in limits if limit]
    return f", which may have {' and '.join(words)}; raise that" if words else ""


def _limit(name: str) -> int:
    """A soft limit; 0: there is none, or this system knows none."""
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    soft = resource.getrlimit(getattr(resource, name))[0]
    return 0 if soft == resource.RLIM_INFINITY else soft


def _status(field: str) -> int:
    """A figure of /proc/self/status in bytes; 0 where it is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1]) << 10
    return 0
