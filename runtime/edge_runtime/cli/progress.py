"""Progress of preparing, as one line that is rewritten on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from edge_runtime.files.visible import own_codes, visible

__all__ = ["ProgressLine"]


class ProgressLine:
    """Shows steps with the time left on `stream`; call it with what is done, the steps done and the steps in all.

    On a terminal one line is rewritten. Elsewhere a line is written when the first step begins, and one at the end.
    `phases`: steps are parts of long phases, named by what is done: the percentage is shown, too, and elsewhere a line
    for each phase.
    """

    def __init__(
        self,
        title: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
        phases: bool = False,
    ) -> None:
        self._title, self._clock, self._phases = visible(title), clock, phases
        self._phase = ""
        self._stream = own_codes(stream or sys.stderr)
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._started: float | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show one step."""
        now = self._clock()
        first = self._started is None
        if self._started is None:
            self._started = now
        if self._terminal:
            part = f", {100 * done // total} %" if self._phases and total > 0 else ""
            self._write(f"\r\x1b[K{self._title}: {visible(what)}{part}{self._left(now, done, total)}")
        elif self._phases and what != self._phase:
            self._phase = what
            self._write(f"{self._title}: {visible(what)} ...\n")
        elif first:
            self._write(f"{self._title} ...\n")

    def end(self) -> None:
        """Write what it took; nothing when nothing was shown."""
        self._end("done in")

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        """End the line, so that what is written next, an error too, does not stand behind it."""
        self._end("done in" if kind is None else "given up after")

    def _end(self, how: str) -> None:
        if self._started is None:
            return
        took = f"{self._title}: {how} {self._clock() - self._started:.0f} s\n"
        self._write(f"\r\x1b[K{took}" if self._terminal else took)
        self._started = None

    def _left(self, now: float, done: int, total: int) -> str:
        if self._started is None or done < 1 or total <= done:
            return ""
        return f", about {(now - self._started) / done * (total - done):.0f} s left"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
