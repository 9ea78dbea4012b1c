"""A runner that runs with fewer threads while other work holds the cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edge_runtime.ort.providers.choose import CPU
from edge_runtime.ort.runner import Arrays, AtOnce, Runner, Tensors
from edge_runtime.ort.session import SessionOptions
from edge_runtime.ort.stepping.crowd import Crowd, put_off
from edge_runtime.ort.stepping.parking import Parking
from edge_runtime.ort.stepping.policy import State, Window, decide

__all__ = ["Stepped", "SteppingRunner", "WithParking", "stepping"]

# For a run behind which a thread rests, and so many times what it takes at best: then it lies behind one that rests.
_PATIENCE_S, _PATIENCE = 5.0, 20.0
_LONGEST_S = 5.0  # of a window in which few runs come
_CLOCK_MS = 1e-3  # for a clock that did not move
_SHAPES = 32  # of inputs that are told apart; a run of others is not judged by


@runtime_checkable
class WithParking(Protocol):
    """A runner whose session's threads can be put to rest."""

    def parking(self) -> Parking | None:
        """Return what puts them to rest; None where that cannot be. Whoever asks for it closes it first."""
        ...


@dataclass(frozen=True)
class Stepped:
    """What became of `threads`: `steps` back to fewer, `seconds` of `run_seconds` with fewer, `fewest` of them."""

    threads: int
    steps: int = 0
    seconds: float = 0.0
    run_seconds: float = 0.0
    fewest: int = 0

    def line(self) -> str:
        """Return it as a line of text; "" where all threads ran all the time."""
        if not self.steps:
            return ""
        share = 100 * self.seconds / max(self.run_seconds, 1e-9)
        return (
            f"{self.fewest} of {self.threads} for {share:.0f} % of the run time: other work had the cores, and fewer "
            f"were faster (stepped back {self.steps} time{'s' * (self.steps != 1)})"
        )


class SteppingRunner(AtOnce):
    """Times a runner's runs, asks the policy, and puts threads to rest or calls them back. For one run at a time."""

    def __init__(
        self,
        runner: Runner,
        parking: Parking,
        threads: int,
        crowd: Crowd,
        clock: Callable[[], float] = time.perf_counter,
        switches: Callable[[], int | None] = put_off,
    ) -> None:
        """`runner` and `parking`, of `threads` threads, are closed by `close`."""
        self.providers: tuple[str, ...] = runner.providers
        self._runner, self._parking, self._crowd = runner, parking, crowd
        self._clock, self._switches = clock, switches
        self._state = State(threads, threads)
        self._best: dict[tuple[tuple[int, ...], ...], float] = {}
        self._since = clock()
        self._runs, self._ms, self._best_ms, self._put_off = 0, 0.0, 0.0, 0
        self.stepped = Stepped(threads, fewest=threads)

    def run(self, feeds: Arrays) -> Tensors:
        """Run named arrays with the threads of the moment; returns every output by name. Raises EngineError."""
        wanted = self._state.home - self._state.threads
        shapes = tuple(array.shape for array in feeds.values())
        resting = self._parking.resting
        if resting != wanted:
            self._begin()
        if resting > wanted:
            self._parking.call_back()
        before, started = self._switches(), self._clock()
        outputs = None
        if resting < wanted:
            outputs = self._parking.rest_one(feeds, _PATIENCE_S + _PATIENCE * self._best.get(shapes, 0.0) / 1000)
        if outputs is None:
            outputs = self._runner.run(feeds)
        ended, after = self._clock(), self._switches()
        if self._parking.resting != wanted:
            return outputs
        self._ran(shapes, (ended - started) * 1000)
        if before is not None and after is not None:
            self._put_off += after - before
        if self._runs and (self._ms >= self._state.window_ms or ended - self._since >= _LONGEST_S):
            self._look(None if after is None else self._put_off / self._ms * 1000)
        return outputs

    def close(self) -> None:
        """Call the threads back and free the model; running again is an error."""
        self._parking.close()
        self._runner.close()

    def _begin(self) -> None:
        self._since = self._clock()
        self._runs, self._ms, self._best_ms, self._put_off = 0, 0.0, 0.0, 0

    def _ran(self, shapes: tuple[tuple[int, ...], ...], ms: float) -> None:
        ms = max(ms, _CLOCK_MS)
        known = self._best.get(shapes)
        if known is None and len(self._best) >= _SHAPES:
            return
        best = self._best[shapes] = ms if known is None else min(known, ms)
        self._runs, self._ms, self._best_ms = self._runs + 1, self._ms + ms, self._best_ms + best

    def _look(self, switches: float | None) -> None:
        """A window is full: ask the policy."""
        state = self._state
        seconds, fewer = self._ms / 1000, state.threads < state.home
        self._state = decide(state, Window(state.threads, self._ms, self._best_ms, self._crowd.room(), switches))
        stepped, settled = self.stepped, self._state.settled
        self.stepped = Stepped(
            stepped.threads,
            stepped.steps + (settled < state.settled),
            stepped.seconds + (seconds if fewer else 0.0),
            stepped.run_seconds + seconds,
            min(stepped.fewest, settled),
        )
        self._begin()


def stepping(runner: Runner, options: SessionOptions, threads: int) -> Runner:
    """Return a runner of `threads` threads that steps back, where the options ask for it and its threads can rest."""
    if not options.steps_back or options.lanes > 1 or threads < 2 or runner.providers != (CPU,):
        return runner
    parking = runner.parking() if isinstance(runner, WithParking) else None
    return runner if parking is None else SteppingRunner(runner, parking, threads, Crowd(options.cores))
