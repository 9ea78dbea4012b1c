"""Text that leaves the program: a manifest, a report, a log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_runtime.files.visible import visible

__all__ = ["printable", "without_folders"]


def without_folders(arguments: Sequence[str]) -> list[str]:
    """Return a command's words with absolute paths cut to their names: a bundle travels, its maker's disk does not.

    Node names may begin with a slash too; a path is what exists, or could be made in a folder that does.
    """
    return [Path(word).name if _is_place(Path(word)) else word for word in arguments]


def _is_place(path: Path) -> bool:
    try:
        return path.is_absolute() and (path.exists() or path.parent.is_dir())
    except OSError:  # too long to be one
        return False


def printable(text: str) -> str:
    """Return text that UTF-8 can hold and a terminal may show.

    Bytes of a path that are not UTF-8 become question marks; what moves a cursor is written out.
    """
    return visible(text.encode("utf-8", "replace").decode("utf-8"))
