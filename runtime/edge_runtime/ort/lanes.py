"""A whole graph that several threads run at a time, each with threads and cores of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence

from edge_runtime.ort.affinity import lane_cores, staying_on
from edge_runtime.ort.runner import Arrays, AtOnce, Runner, Tensors
from edge_runtime.ort.session import SessionOptions, usable_threads

__all__ = ["LaneRunner", "cores_of_lane", "laned"]


class LaneRunner(AtOnce):
    """Gives each call a lane that is free: a runner and its cores. More calls than lanes wait."""

    def __init__(self, lanes: Sequence[tuple[Runner, tuple[int, ...]]]) -> None:
        self._runners = [runner for runner, _ in lanes]
        self._free: queue.SimpleQueue[tuple[Runner, tuple[int, ...]]] = queue.SimpleQueue()
        for lane in lanes:
            self._free.put(lane)

    @property
    def providers(self) -> tuple[str, ...]:
        """Those of the first lane: all are opened alike."""
        return self._runners[0].providers

    def run(self, feeds: Arrays) -> Tensors:
        """Run named arrays through the graph; returns every output by name. Raises EngineError."""
        lane = self._free.get()
        runner, cores = lane
        try:
            with staying_on(cores):
                return runner.run(feeds)
        finally:
            self._free.put(lane)

    def close(self) -> None:
        """Free the sessions; running again is an error."""
        for runner in self._runners:
            runner.close()


def laned(first: Runner, another: Callable[[], Runner], options: SessionOptions) -> LaneRunner:
    """Return as many lanes as `options` ask for, `first` in the first of them.

    With one thread each a session has no threads of its own, and all lanes share the first. With more, each lane gets
    `another` session with its own threads, and with it its own copy of the weights: sharing one, a run would take the
    threads that another one needs.
    """
    threads = usable_threads(options.threads)
    lanes: list[tuple[Runner, tuple[int, ...]]] = []
    try:
        for lane in range(options.lanes):
            cores = cores_of_lane(options, threads, lane)
            with staying_on(cores):  # its threads, which are started here, stay there
                lanes.append((another() if lane and threads > 1 else first, cores))
    except BaseException:
        for runner, _ in lanes:
            runner.close()
        raise
    return LaneRunner(lanes)


def cores_of_lane(options: SessionOptions, threads: int, lane: int) -> tuple[int, ...]:
    """Return the processors of one lane of a session with `threads` for each."""
    return lane_cores(options.cores, options.lanes, threads, lane)
