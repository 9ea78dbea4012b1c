"""What ends a process that was told to end, and does not: native code that holds the main thread hears no handler.

Python's handlers run in the main thread, once it comes back from the call that it is in. The number of a signal is
written to a pipe at once, though (signal.set_wakeup_fd), and another thread reads it there.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime.ort.watchdog import end_runs

__all__ = ["Patience", "last_resort"]


@dataclass(frozen=True)
class Patience:
    """Seconds from a signal until the model's runs are ended, and from then until the process is; after a second signal
    both are `hurried`. A service manager has patience too (station/service/unit.py: 60 s), and these are within it.
    """

    runs: float = 20.0
    process: float = 30.0
    hurried: float = 5.0


@contextlib.contextmanager
def last_resort(patience: Patience = Patience()) -> Iterator[None]:
    """End this process, with the signal's exit code, where it has not left the block long after SIGINT or SIGTERM.

    In the main thread alone; elsewhere, and where somebody else reads that pipe, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    if before != -1:  # an event loop's
        signal.set_wakeup_fd(before)
        os.close(heard)
        os.close(told)
        yield
        return
    thread = threading.Thread(target=_wait, args=(heard, patience), name="edgeline-last-resort", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.close(told)  # the thread reads the end of it
        thread.join()
        os.close(heard)


def _wait(heard: int, patience: Patience) -> None:
    """Read signals until the pipe ends; after the first one, for a time only."""
    number = 0
    until = math.inf
    then = patience.process  # what the process has once its runs were ended
    while True:
        left = None if until == math.inf else max(until - time.monotonic(), 0.0)
        ready, _, _ = select.select([heard], [], [], left)
        now = time.monotonic()
        if ready:
            said = os.read(heard, 64)
            if not said:
                return
            for one in said:
                if one not in (signal.SIGINT, signal.SIGTERM):
                    continue
                if number:
                    then = min(then, patience.hurried)
                until = min(until, now + (patience.hurried if number else patience.runs))
                number = number or one
        elif then < 0:
            _leave(number)
        else:
            end_runs()
            until, then = now + then, -1.0


def _leave(number: int) -> None:
    with contextlib.suppress(OSError):
        name = signal.Signals(number).name
        sys.stderr.write(f"error: this process was told to end ({name}) and did not: it is given up\n")
        sys.stderr.flush()
    os._exit(128 + number)
