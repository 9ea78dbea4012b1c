"""Names of files as they are written for people and into records."""

from __future__ import annotations

import os

__all__ = ["shown", "stored"]


def stored(name: str | os.PathLike[str]) -> str:
    """Return a file's name as text that UTF-8 can hold: bytes that are none, lone surrogates here, become \\xff."""
    return os.fspath(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shown(name: str | os.PathLike[str]) -> str:
    """Return a file's name as `stored`, on one line: line ends and the like become \\n."""
    text = os.fspath(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in stored(name))
