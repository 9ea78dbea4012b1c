"""Pictures that are woven of two fields, made into such as are of one time, by FFmpeg's filter for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import av

__all__ = ["Deinterlacer", "Told"]


@dataclass(frozen=True)
class Told:
    """What is known of a picture before it is deinterlaced."""

    pts: float | None
    arrived: float
    whole: bool
    interlaced: bool
    wrong: str | None


class Deinterlacer:
    """Gives one picture for each that is put in, a little later; those that are progressive pass unchanged.

    What is wrong with a picture's neighbours is wrong with it: their lines are looked at too.
    """

    def __init__(self, parity: str | None = None) -> None:
        """`parity`: all pictures are woven, and that is the field that comes first; None: each says so itself."""
        self._which = "deint=interlaced" if parity is None else f"deint=all:parity={parity}"
        self._graph: Any = None
        self._kind: tuple[object, ...] = ()
        self._told: deque[Told] = deque()
        self._before: str | None = None

    def put(self, frame: Any, told: Told) -> Iterator[tuple[Any, Told]]:
        """Put a picture in; yield those that are ready."""
        kind = (frame.width, frame.height, frame.format.name, frame.time_base)
        if kind != self._kind:
            yield from self.finish()
            self._graph, self._kind = _graph(frame, self._which), kind
        self._told.append(told)
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[tuple[Any, Told]]:
        """Yield what is left."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = None

    def _ready(self) -> Iterator[tuple[Any, Told]]:
        while self._told:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            told = self._told.popleft()
            after = self._told[0].wrong if self._told else None
            wrong = told.wrong or ((self._before or after) if told.interlaced else None)
            self._before = told.wrong
            yield frame, replace(told, wrong=wrong)


def _graph(frame: Any, which: str) -> Any:
    import av.filter  # of interlaced pictures alone

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    filtered = graph.add("bwdif", f"mode=send_frame:{which}")
    sink = graph.add("buffersink")
    source.link_to(filtered)
    filtered.link_to(sink)
    graph.configure()
    return graph
