"""Text that leaves the program: a manifest, a report, a log."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return text that UTF-8 can hold: bytes of a path that are not UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
