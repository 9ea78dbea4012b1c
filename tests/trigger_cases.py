"""A camera whose frames a test takes, and parts that a test announces."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_runtime.inspect.sources.base import Frame, SourceKind
from edge_runtime.station.triggers.signalled import Signals

__all__ = ["PICTURE", "HandCamera", "Hearing"]

PICTURE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


class HandCamera:
    """A live source: `take` takes a picture (a str: one that cannot be read); `end` ends it."""

    name = "camera"
    kind: SourceKind = "live"
    total = None
    fps = None
    dropped = 0

    def __init__(self) -> None:
        self._frames: queue.Queue[Frame | BaseException | None] = queue.Queue(8)
        self.taken = 0

    def take(self, picture: Any = PICTURE, at: float | None = None) -> None:
        taken_s = time.monotonic() if at is None else at
        pictures = {"error": picture} if isinstance(picture, str) else {"image": picture}
        self._frames.put(Frame("camera", self.taken, f"camera_{self.taken}", taken_s=taken_s, **pictures))
        self.taken += 1

    def end(self, error: BaseException | None = None) -> None:
        self._frames.put(error)

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._frames.get()) is not None:
            if isinstance(frame, BaseException):
                raise frame
            yield frame

    def close(self) -> None:
        self.end()


class Hearing:
    """A listener that leaves it to the test to announce parts: `signals`, as soon as the trigger listens."""

    def __init__(self) -> None:
        self._signals: queue.Queue[Signals] = queue.Queue()
        self.closed = False

    def __call__(self, signals: Signals) -> Hearing:
        self._signals.put(signals)
        return self

    def signals(self) -> Signals:
        return self._signals.get()

    def close(self) -> None:
        self.closed = True
