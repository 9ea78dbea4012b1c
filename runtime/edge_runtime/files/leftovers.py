"""Folders in the making, and what of them a killed process left: who makes one holds a lock on it (flock(2)).

The system lets go of the lock when the process ends, however it ends; no clock is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from pathlib import Path

from edge_devices.ownership import is_ours

__all__ = ["clear_leftovers", "is_dead", "make_held"]


def make_held(folder: Path) -> int:
    """Create a folder and its parents, and hold it: returns a descriptor to be closed when it is whole, or gone.

    Raises OSError, FileExistsError for one that is there.
    """
    folder.mkdir(parents=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.suppress(OSError):  # a file system without locks: nobody takes it for dead either
        fcntl.flock(held, fcntl.LOCK_EX)
    return held


def is_dead(folder: Path) -> bool:
    """Whether a folder is in nobody's making any more; False where that cannot be told."""
    try:
        found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(found)


def clear_leftovers(target: Path) -> None:
    """Remove what killed processes left of making `target`, where it is this user's. What cannot be removed stays."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.(tmp|old)")
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            found = pattern.fullmatch(entry.name)
            # An older folder that was put aside is the only one until the newer stands in its place.
            if found and (found[1] == "tmp" or target.exists()) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    if not entry.is_dir(follow_symlinks=False) or status.st_uid != os.geteuid() or not is_ours(status):
        return False
    with os.scandir(entry.path) as inside:  # one that another process has just made is not held yet, and is empty
        return any(inside) and is_dead(Path(entry.path))
