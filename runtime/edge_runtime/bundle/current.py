"""`current`, a link to a bundle: what it leads to is looked up once, at a start, and that is what runs and is named."""

from __future__ import annotations

from pathlib import Path

__all__ = ["followed"]


def followed(path: Path) -> Path:
    """Return the folder that a link leads to now; any other path as it is.

    An update switches the link in one step (station/updates/): who followed it goes on with the folder of before.
    """
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError):  # links in a circle, which opening it tells
        return path
