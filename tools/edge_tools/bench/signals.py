"""Ending on a signal without leaving processes or control groups behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["ending_cleanly"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ending_cleanly() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into SystemExit(128 + number), and ignore those that follow.

    What `with` and `finally` undo is then undone, uninterrupted: killing processes and removing groups takes a moment.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
