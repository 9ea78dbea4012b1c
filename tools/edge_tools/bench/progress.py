"""Progress on standard error: one line that is written over on a terminal, one line for each step elsewhere."""

from __future__ import annotations

import re
import shutil
from typing import TextIO

__all__ = ["Progress", "time_left"]

_LEFT = re.compile(r", about [0-9]+ (?:s|min|h) left$")
_ROUND = re.compile(r", round [0-9]+ of [0-9]+$")


def time_left(seconds: float) -> str:
    """Return ", about 40 s left", in steps that do not flicker."""
    if seconds < 90:
        return f", about {max(5, 5 * round(seconds / 5))} s left"
    return f", about {round(seconds / 60)} min left" if seconds < 5400 else f", about {round(seconds / 3600)} h left"


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
        elif (step := _ROUND.sub("", _LEFT.sub("", text))) != self._last:  # a log needs no line for each round
            left = _LEFT.search(text)
            self._stream.write(f"{step}{left[0] if left else ''}\n")
            self._last = step
        self._stream.flush()

    def done(self) -> None:
        """Remove the line."""
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
