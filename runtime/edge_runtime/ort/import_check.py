"""Make sure that importing onnxruntime will not kill this process, before it is imported.

A wheel for newer processors ends the process with SIGILL, without a word. What is known of the installed version and
this processor costs a millisecond; where nothing is known, a child process imports it once, which is then noted in the
cache: $XDG_CACHE_HOME/edgeline/imports.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path

from edge_devices import Machine, cannot_run, doubt, imports_safely, installed_onnxruntime, this_processor
from edge_devices.ownership import is_ours
from edge_runtime.errors import DependencyError, EdgelineError
from edge_runtime.files.atomic import write_text
from edge_runtime.files.folders import make_private, trusted_cache_root

__all__ = ["check_import"]


def check_import() -> None:
    """Raise DependencyError if onnxruntime's import would kill this process. Without onnxruntime there is no answer."""
    version = installed_onnxruntime()
    if version is None:
        return
    machine = this_processor()
    reason = cannot_run(machine, version)
    # Elsewhere than on Linux nothing tells what the processor has.
    if reason is None and sys.platform == "linux" and doubt(machine, version):
        reason = _tried(machine, version)
    if reason is not None:
        raise DependencyError(reason)


def _tried(machine: Machine, version: str) -> str | None:
    """Import it in a child process, unless that went well before. Only success is noted: what failed is tried again."""
    note = _note(machine, version)
    with contextlib.suppress(OSError):  # a cache that may not be looked into
        if note is not None and is_ours(note.stat()) and is_ours(note.parent.stat()):
            return None
    reason = imports_safely()
    if reason is None and note is not None:
        with contextlib.suppress(OSError, EdgelineError):  # a cache that cannot be written: the next start tries again
            make_private(note.parent)
            write_text(note, f"onnxruntime {version} was imported without harm by a child process\n")
    return reason


def _note(machine: Machine, version: str) -> Path | None:
    """The name says what must be the same: the version, this Python, the processor, and which cores are on."""
    try:
        folder = trusted_cache_root().parent / "imports"
    except EdgelineError:  # no home, or one that others write into
        return None
    facts = [version, sys.executable, machine.architecture, machine.cpu, *sorted(machine.isa), str(machine.online)]
    return folder / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]
