"""Progress on standard error: one line that is written over on a terminal, one line for each step elsewhere."""

from __future__ import annotations

import re
import shutil
from typing import TextIO

__all__ = ["Progress"]

_ROUND = re.compile(r", round [0-9]+ of [0-9]+$")


class Progress:
    """Says what is going on; call it with a short text, and `done` before anything else is printed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._last = ""

    def __call__(self, text: str) -> None:
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{text[:width]}")
        elif (step := _ROUND.sub("", text)) != self._last:  # a log needs no line for each round
            self._stream.write(f"{step}\n")
            self._last = step
        self._stream.flush()

    def done(self) -> None:
        """Remove the line."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
