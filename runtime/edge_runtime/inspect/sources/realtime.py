"""A video file that behaves like a camera: its frames come at its own rate, whether or not somebody is ready."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources.base import Frame, Source, SourceKind, now_utc

__all__ = ["RealtimeSource"]

_POLL = 0.2  # how often a waiting consumer looks whether it should stop, seconds


class RealtimeSource:
    """Gives the frames of another source at its rate; the newest wins, those that nobody was there for are dropped.

    A frame is taken, as a camera's would be, at its moment, and read and decoded after that. Those whose successor's
    moment has come too are not given.
    """

    def __init__(
        self,
        source: Source,
        fps: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        phase: float = 0.0,
    ) -> None:
        """`fps` None: the rate that the source declares. The first frame comes after `phase` seconds.

        Raises SourceError where no rate is declared.
        """
        rate = fps or source.fps
        if rate is None:
            raise SourceError(f"{source.name} has no frame rate to be played at; leave --realtime out for it")
        self.name = source.name
        self.kind: SourceKind = "live"
        self.total: int | None = None
        self.fps: float | None = rate
        self.dropped = 0
        self._source, self._period, self._stop = source, 1.0 / rate, stop
        self._clock, self._pause, self._phase = clock, pause, phase

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame when its moment has come, until the source ends or is stopped."""
        frames = iter(self._source)
        began = self._clock() + self._phase
        number = 0
        held: Frame | None = None
        while not self._stop():
            due = began + number * self._period
            if (left := due - self._clock()) > 0:
                if held is not None:  # nothing newer has come
                    yield held
                    held = None
                    continue
                self._pause(min(left, _POLL))
                continue
            captured = now_utc() + timedelta(seconds=left)
            frame = next(frames, None)
            if frame is None:
                break
            number += 1
            # Never drop what could not be read: it has to be said.
            if held is not None and held.image is None:
                yield held
            elif held is not None:
                self.dropped += 1
            held = dataclasses.replace(frame, captured=captured, taken_s=due)
        if held is not None:
            yield held

    def close(self) -> None:
        """Close the source."""
        self._source.close()
