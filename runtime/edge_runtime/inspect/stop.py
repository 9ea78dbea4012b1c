"""Signals that end a run cleanly."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from edge_runtime.inspect.last_resort import last_resort

__all__ = ["Stop", "stop_on_signals"]


class Stop:
    """Tells a run to end: by `signal` (its number, 0 for none), or because the user or the run itself is `done`.

    A run that is one of several has a stop of its own with theirs as its `parent`, which ends them all.
    """

    def __init__(self, parent: Stop | None = None) -> None:
        self.signal = 0
        self.done = False
        self._parent = parent

    def __call__(self) -> bool:
        """Return whether the loop should end."""
        return self.done or self.signal != 0 or (self._parent is not None and self._parent())

    def end(self) -> None:
        """Say that nothing more is wanted."""
        self.done = True

    @property
    def exit_code(self) -> int:
        """Return the shell's exit code for the signal: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM, 0 for none."""
        return 128 + self.signal if self.signal else 0


@contextlib.contextmanager
def stop_on_signals(stop: Stop, hung_up: Callable[[], None] | None = None) -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a flag, so that files get closed; a second interrupts at once.

    `hung_up` is called for SIGHUP instead, where it is given.

    Of a terminal that goes away, or a service that ends, a program hears more than once, by SIGHUP and another: that
    interrupts nothing. Where SIGHUP is ignored (nohup) it stays so.
    A process that does not end all the same is ended (inspect/last_resort.py).
    The handler only sets an attribute: taking a lock there could deadlock with the code it interrupted.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if hung_up is not None and number == hangup:
            hung_up()
            return
        if stop.signal and hangup not in (number, stop.signal):
            raise KeyboardInterrupt
        if number != hangup or not stop.signal:
            stop.signal = number

    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        with last_resort():
            yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
