"""One source in one thread: read, judge, record, and the next. Nothing waits, and nothing more is loaded for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.inspect.feed import Feed
from edge_runtime.inspect.judging import judge
from edge_runtime.inspect.recorder import Recorder
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Judge

__all__ = ["InTurn"]


@dataclass(frozen=True)
class InTurn:
    """A driver (run.Driver): `batch` images go to the engine at once, of an endless source one: none waits."""

    batch: int = 1
    timed: bool = False

    def __call__(self, engine: Judge, feeds: Sequence[Feed], recorder: Recorder, stop: Stop) -> None:
        """Judge one feed after another."""
        for feed in feeds:
            frames = feed.frames()
            size = 1 if feed.endless else self.batch
            while not stop() and (together := list(itertools.islice(frames, size))):
                for frame, result in judge(engine.run, together, self.batch):
                    recorder.write(feed, frame, result)
