"""Confining this process, a child of ours that will give an untrusted bundle to native code.

Called once everything is imported that is needed for certain. What the system cannot do is told, and the rest is done:
an older kernel is no reason not to run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.prepare.confine.landlock import restrict_files
from edge_runtime.prepare.confine.limits import die_with_parent, limit_data, limit_files, no_core, no_new_privileges
from edge_runtime.prepare.confine.seccomp import forbid_calls

__all__ = ["Bounds", "confine"]

# Of the root's folders: what people and services keep for themselves.
_PRIVATE = frozenset({"home", "root", "mnt", "media", "srv", "run", "var", "tmp", "boot", "lost+found"})


@dataclass(frozen=True)
class Bounds:
    """What a process may do: bytes of memory beside what it has, of any file it writes, folders to read and write."""

    memory_bytes: int
    file_bytes: int
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]


def confine(bounds: Bounds) -> tuple[str, ...]:
    """Bind this process and what it will start; returns what could not be had here, in words."""
    if bounds.writes:  # what is written for a moment only
        os.environ["TMPDIR"] = tempfile.tempdir = str(bounds.writes[0])
    done = {
        "no core files": no_core(),
        "an end with its parent": die_with_parent(),
        "a limit of memory (RLIMIT_DATA)": limit_data(bounds.memory_bytes),
        "a limit of its files' size (RLIMIT_FSIZE)": limit_files(bounds.file_bytes),
        "no new privileges": no_new_privileges(),
        "only the files that it needs (Landlock)": restrict_files(
            [*_programs(), *bounds.reads], [*bounds.writes, Path("/proc/self"), Path("/dev/null")]
        ),
        "no network (seccomp)": forbid_calls(),
    }
    return tuple(what for what, had in done.items() if not had)


def _programs() -> Sequence[Path]:
    """Where Python, its libraries and the system's lie."""
    roots = [Path(path) for path in (*sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix) if path]
    try:
        system = [path for path in Path("/").iterdir() if path.name not in _PRIVATE]
    except OSError:
        system = []
    return [*system, *roots]
