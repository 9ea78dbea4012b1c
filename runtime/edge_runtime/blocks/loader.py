"""The loader: a thread that makes the next block ready while the current one computes.

Time is a row of positions: run g's step s (plan.plan) is g * steps + s. The runner says which position it has reached;
a load may begin at the position its plan gives it. Loads are done one at a time, in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.errors import EdgelineError, EngineError

__all__ = ["Load", "Loader"]

_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Load:
    """One block's load of every run: it may begin at step `first`, and `make` does it (raises EdgelineError)."""

    block: int
    first: int
    make: Callable[[], None]


def _nothing() -> None:
    """There is nothing to do in between."""


class Loader:
    """Runs the loads of run after run.

    A failure is raised to whoever waits for that load or a later one of the same run; the next run loads again.
    """

    def __init__(self, loads: Sequence[Load], steps: int, stop_seconds: float = _STOP_SECONDS) -> None:
        """`loads` in the order of their blocks; `steps` is the number of steps of a run.

        `close` waits for a load under way at most `stop_seconds`.
        """
        self._loads, self._steps, self._stop_seconds = tuple(loads), steps, stop_seconds
        self._changed = threading.Condition()
        self._position = 0
        self._done = 0  # loads that are ready, counted from the first run on
        self._busy = False
        self._leaving = False  # the run is being given up: no load of it begins any more
        self._error: EdgelineError | None = None
        self._stopping = False
        self._order = {load.block: index for index, load in enumerate(self._loads)}
        self._thread = threading.Thread(target=self._work, name="edgeline-loader", daemon=True)
        if self._loads:
            self._thread.start()

    def reach(self, step: int) -> None:
        """Say that the current run has come to `step`."""
        with self._changed:
            self._position = self._position // self._steps * self._steps + step
            self._changed.notify_all()

    def next_run(self, between: Callable[[], None] = _nothing, start: int = 0) -> None:
        """Say that the current run is over, whole or not: loads it did not come to are left out.

        `between` is called when nothing is loaded for the current run any more and nothing yet for the next. The next
        run begins at block `start`: what comes before is not loaded for it.
        """
        with self._changed:
            run = self._position // self._steps + 1
            # A load that is under way writes to the arena, which the next run's inputs may share: it ends first.
            self._leaving = True
            while self._busy and not self._stopping:
                self._changed.wait()
            between()
            self._leaving = False
            self._done = run * len(self._loads) + sum(load.block < start for load in self._loads)
            self._error = None  # the next run does that load again
            self._position = run * self._steps + start
            self._changed.notify_all()

    def wait_for(self, block: int) -> None:
        """Wait until `block` is ready for the current run. Raises what its load raised, EngineError after `close`."""
        with self._changed:
            wanted = self._position // self._steps * len(self._loads) + self._order[block] + 1
            while self._done < wanted and self._error is None and not self._stopping:
                self._changed.wait()
            if self._done >= wanted:
                return
            if self._error is not None:
                raise self._error
            raise EngineError("the engine was closed while it ran")

    def close(self) -> None:
        """Stop: no load begins any more; one that is under way is waited for, but not for ever."""
        with self._changed:
            first, self._stopping = not self._stopping, True
            self._changed.notify_all()
        if first and self._thread.is_alive():
            self._thread.join(self._stop_seconds)

    def _work(self) -> None:
        while (load := self._next()) is not None:
            error: EdgelineError | None = None
            try:
                load.make()
            except EdgelineError as failure:
                error = failure
            except Exception as failure:  # noqa: BLE001  # whatever it is, the runner must not wait for ever
                reason = " ".join(str(failure).split())[:300]
                error = EngineError(f"loading block {load.block} failed: {type(failure).__name__}: {reason}")
            with self._changed:
                self._busy = False
                if error is None:
                    self._done += 1
                else:
                    self._error = error
                self._changed.notify_all()

    def _next(self) -> Load | None:
        """Wait for the next load that may begin; None when there is nothing to do any more."""
        with self._changed:
            while not self._stopping:
                run, index = divmod(self._done, len(self._loads))
                load = self._loads[index]
                # After a failure nothing is loaded until the runner gave the run up.
                idle = self._error is not None or self._leaving
                if not idle and self._position >= run * self._steps + load.first:
                    self._busy = True
                    return load
                self._changed.wait()
            return None
