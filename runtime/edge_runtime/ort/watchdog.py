"""A watchdog over onnxruntime's runs in this process: one that takes far longer than any before is ended with an error.

onnxruntime looks at the flag that is set here between two nodes and between two rounds of a loop. A single kernel that
does not come to an end is not reached by it; what ends the process then is in inspect/stop.py.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from edge_runtime.errors import EngineError

__all__ = ["Watchdog", "end_runs", "watched_run"]

# A first run makes room, a provider may compile; what came to an end once has a multiple of its longest time.
_FIRST_SECONDS, _LEAST_SECONDS, _TIMES = 900.0, 60.0, 100.0


class _Run:
    """One run under way."""

    __slots__ = ("ended", "options", "seconds", "until")

    def __init__(self, options: Any, seconds: float, now: float) -> None:
        self.options, self.seconds, self.until = options, seconds, now + seconds
        self.ended = False

    def end(self) -> None:
        self.ended = self.options.terminate = True


class Watchdog:
    """Watches runs from a thread that sleeps until the earliest of them is due, a minute at least."""

    def __init__(
        self,
        options: Callable[[], Any],
        first: float = _FIRST_SECONDS,
        least: float = _LEAST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`options` makes a run's options, whose `terminate` ends it.

        `first`, `least`: what a session's first run may take, and any run, in seconds.
        """
        self._options, self._first, self._least, self._clock = options, first, least, clock
        self._longest: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()
        self._runs: set[_Run] = set()
        self._changed = threading.Condition()
        self._due = float("inf")  # when the thread looks next
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, session: Any) -> Iterator[Any]:
        """Yield the options for one run of a session. Raises EngineError for a run that was ended."""
        now = self._clock()
        known = self._longest.get(session)
        run = _Run(self._options(), self._first if known is None else max(self._least, _TIMES * known), now)
        self._begin(run)
        try:
            yield run.options
        except Exception as error:
            if run.ended:
                before = "" if known is None else f", the longest before took {known:.3g} s"
                raise EngineError(
                    f"a run of the model was ended after {self._clock() - now:.0f} s (it may take {run.seconds:.0f} s"
                    f"{before}); if pictures can take it so long, the model has a loop that depends on them"
                ) from error
            raise
        finally:
            with self._changed:
                self._runs.discard(run)
        self._longest[session] = max(known or 0.0, self._clock() - now)

    def end_all(self) -> None:
        """End every run that is under way."""
        with self._changed:
            for run in self._runs:
                run.end()

    def look(self) -> float:
        """End the runs that are due; returns how long none will be, in seconds."""
        with self._changed:
            now = self._clock()
            for run in self._runs:
                if run.until <= now and not run.ended:
                    run.end()
            self._due = min((run.until for run in self._runs if not run.ended), default=float("inf"))
            return self._due - now

    def _begin(self, run: _Run) -> None:
        with self._changed:
            self._runs.add(run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="edgeline-watchdog", daemon=True)
                self._thread.start()
            elif run.until < self._due:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                left = self.look()
                self._changed.wait(None if left == float("inf") else max(left, 0.0))


def watched_run(session: Any, run: Callable[[Any], Any]) -> Any:
    """Call `run` with the options of a watched run of the session. Raises EngineError for one that is ended."""
    with _watchdog().watching(session) as options:
        return run(options)


def end_runs() -> None:
    """End every run of this process that is under way, for a process that has to end."""
    if _HELD:
        _HELD[0].end_all()


_HELD: list[Watchdog] = []


def _watchdog() -> Watchdog:
    if not _HELD:
        from onnxruntime import RunOptions  # loaded by whoever made the session

        _HELD.append(Watchdog(RunOptions))
    return _HELD[0]
