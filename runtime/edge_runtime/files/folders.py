"""Where what is kept between runs lies."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_devices.ownership import strange_owner
from edge_runtime.errors import OutputError

__all__ = ["CACHE_ADVICE", "cache_root", "make_private", "trusted_cache_root"]

CACHE_ADVICE = "set XDG_CACHE_HOME to a folder that can be written, or use --no-cache"


def cache_root() -> Path:
    """Return the folder for prepared bundles: $XDG_CACHE_HOME/edgeline/prepared, ~/.cache without that.

    Raises OutputError for a user who has no home either.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    try:
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise OutputError(f"there is no place for the cache: {error}; {CACHE_ADVICE}") from error
    return home / "edgeline" / "prepared"


def trusted_cache_root() -> Path:
    """Return `cache_root`, where nobody else can have put something into it: what lies there is run.

    Raises OutputError with the reason: it, or the folder it lies in, belongs to another user or can be written by
    others, or cannot be looked into.
    """
    root = cache_root()
    for folder in (root, root.parent):
        try:
            status = folder.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(f"{folder} cannot be looked into: {error.strerror}; {CACHE_ADVICE}") from error
        if not stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{folder} is no folder; {CACHE_ADVICE}")
        if strange := strange_owner(folder):
            raise OutputError(f"{strange}; {CACHE_ADVICE}")
    base = root.parent.parent
    try:
        mode = base.stat().st_mode
    except OSError:  # not there yet; what cannot be made is said where it is made
        return root
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise OutputError(f"others can rename what lies in {base}: chmod o-w it, or {CACHE_ADVICE}")
    return root


def make_private(folder: Path) -> None:
    """Create a folder of the cache, such as `cache_root`, and its parent, for this user alone. Raises OSError."""
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, exist_ok=True)
