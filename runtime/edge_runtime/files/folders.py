"""Where what is kept between runs lies."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.errors import OutputError

__all__ = ["CACHE_ADVICE", "cache_root"]

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
