"""A whole graph that several threads run at a time, each with threads and cores of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.ort.affinity import lane_cores, staying_on
from edge_runtime.ort.process import Tensors
from edge_runtime.ort.session import OrtSession, Session, SessionOptions, usable_threads

__all__ = ["LanedSession", "cores_of_lane", "laned"]


class LanedSession:
    """Gives each call a lane that is free: a session and its cores. More calls than lanes wait."""

    def __init__(self, lanes: Sequence[tuple[Session, tuple[int, ...]]]) -> None:
        self._sessions = [session for session, _ in lanes]
        self._free: queue.SimpleQueue[tuple[Session, tuple[int, ...]]] = queue.SimpleQueue()
        for lane in lanes:
            self._free.put(lane)

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> Tensors:
        """Run named arrays through the graph; returns every output by name. Raises EngineError."""
        lane = self._free.get()
        session, cores = lane
        try:
            with staying_on(cores):
                return session.run(feeds)
        finally:
            self._free.put(lane)

    def close(self) -> None:
        """Free the sessions; running again is an error."""
        for session in self._sessions:
            session.close()


def laned(first: OrtSession, another: Callable[[], OrtSession], options: SessionOptions) -> LanedSession:
    """Return as many lanes as `options` ask for, `first` in the first of them.

    With one thread each a session has no threads of its own, and all lanes share the first. With more, each lane gets
    `another` session with its own threads, and with it its own copy of the weights: sharing one, a run would take the
    threads that another one needs.
    """
    threads = usable_threads(options.threads)
    lanes: list[tuple[Session, tuple[int, ...]]] = []
    try:
        for lane in range(options.lanes):
            cores = cores_of_lane(options, threads, lane)
            with staying_on(cores):  # its threads, which are started here, stay there
                lanes.append((another() if lane and threads > 1 else first, cores))
    except BaseException:
        for session, _ in lanes:
            session.close()
        raise
    return LanedSession(lanes)


def cores_of_lane(options: SessionOptions, threads: int, lane: int) -> tuple[int, ...]:
    """Return the processors of one lane of a session with `threads` for each."""
    return lane_cores(options.cores, options.lanes, threads, lane)
