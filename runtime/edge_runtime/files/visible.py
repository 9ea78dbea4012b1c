"""Text as a terminal may show it: what would move its cursor, clear its lines or turn the order of reading is told.

Names come from bundles, labels, files, cameras and other programs. One of them could clear the line and write
"confirmed" in its place, or show `gpj.exe` as `exe.jpg`. So the streams that commands write to escape all of it,
whoever wrote it; the few who write a terminal's codes on purpose take the stream below (`own_codes`) and make their own
texts visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO, cast

__all__ = ["VisibleStream", "own_codes", "visible"]

# Control characters but the end of a line and the tab, Unicode's ends of lines, and marks that turn the order of
# reading (UAX #9). Colours of a text stay: they hide nothing.
_COLOUR = r"\x1b\[(?:(?:[0-3]|22|[39][0-7]|39);?)*m"
_UNSEEN = re.compile(rf"({_COLOUR})|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Return the text with such characters written as \u001b: in a JSON text they mean the same as before."""
    return _UNSEEN.sub(lambda found: found[1] or f"\\u{ord(found[0]):04x}", text)


class VisibleStream:
    """A text stream whose texts are made `visible`; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.below = stream

    def write(self, text: str) -> int:
        """Write a text; returns its length, as it was given."""
        self.below.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after another."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        # click writes past a stream of ASCII, into the bytes below it, where it finds them.
        if name in ("buffer", "detach"):
            raise AttributeError(f"a stream of visible text has no {name}")
        return getattr(self.below, name)


def own_codes(stream: TextIO) -> TextIO:
    """Return the stream below a VisibleStream: for who writes codes of a terminal, and makes names `visible` itself."""
    return cast(VisibleStream, stream).below if isinstance(stream, VisibleStream) else stream
