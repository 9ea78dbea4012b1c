"""The side of the first contact that waits: a bundle that was not tried here yet is tried in a process of its own.

That it went well is noted in the cache, $XDG_CACHE_HOME/edgeline/tried, by the bundle's hash, onnxruntime and the
processor, so that later starts pay nothing; without a cache it is tried at each start.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge_devices import available_memory
from edge_devices.ownership import is_ours
from edge_runtime.bundle.bundle import Bundle
from edge_runtime.errors import EdgelineError, MemoryLimitError, OutputError, RefusedError
from edge_runtime.files.atomic import write_text
from edge_runtime.files.folders import make_private
from edge_runtime.prepare.budget import STACK_BYTES, budget_of
from edge_runtime.prepare.cache import PreparedCache
from edge_runtime.prepare.request import ChildDiedError, TrialRequest, call, quiet

__all__ = ["quiet_seconds", "refused", "try_bundle"]

_QUIET_TIMES, _LEAST_QUIET = 20.0, 120.0


def try_bundle(bundle: Bundle, cache: PreparedCache | None, key: str, threads: int) -> None:
    """Open and run a bundle whose hashes were checked in a child, unless that went well before.

    Raises RefusedError for one that ends the child or does not end, MemoryLimitError for one that takes far more than a
    bundle of its size can want. Any other error of the child is left to whoever opens the bundle.
    """
    note = None if cache is None else cache.root.parent / "tried" / key
    if note is not None and _is_noted(note):
        return
    budget = budget_of(bundle.manifest)
    most = min(budget.memory_bytes, available_memory() or budget.memory_bytes)
    most += threads * STACK_BYTES
    request = TrialRequest(str(bundle.path.absolute()), threads, most, budget.seconds)
    try:
        call("edge_runtime.prepare.trial_child", request, quiet, None, quiet_seconds(bundle))
    except ChildDiedError as error:
        raise refused(bundle, error) from error
    except MemoryLimitError:
        raise
    except EdgelineError:
        return
    if note is not None:
        with contextlib.suppress(OSError, OutputError):  # a cache that cannot be written: the next start tries again
            make_private(note.parent)
            write_text(note, f"{bundle.path.name} was opened and run without harm by a child process\n")


def refused(bundle: Bundle, error: ChildDiedError) -> RefusedError:
    """The error for a bundle that ended the process it was tried in."""
    return RefusedError(
        f"{bundle.path} was run for the first time in a process of its own, and {error.why}: do not use this bundle; "
        "if you made it, tell us with the model"
    )


def quiet_seconds(bundle: Bundle, batch: int = 1, runs: int = 1) -> float:
    """How long a child may say nothing: many times the processor time that the kernel leaves it."""
    return _LEAST_QUIET + _QUIET_TIMES * runs * budget_of(bundle.manifest, batch).seconds


def _is_noted(note: Path) -> bool:
    try:
        return is_ours(note.stat()) and is_ours(note.parent.stat())
    except OSError:
        return False
