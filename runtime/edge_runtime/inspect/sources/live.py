"""Cameras and streams: the newest frame wins, and a lost one is said out loud until it is back."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import cv2

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources.base import Frame, SourceKind, now_utc
from edge_runtime.inspect.sources.capture import Capture, as_bgr8
from edge_runtime.inspect.sources.options import LIVE, LiveOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LiveSource"]


@dataclass(frozen=True, eq=False)
class _Shot:
    image: NDArray[np.uint8]
    captured: datetime
    read_ms: float
    taken_s: float


class LiveSource:
    """A thread takes each frame as it comes; the consumer gets the newest, those between count as dropped.

    A failed read starts the reconnecting; each failed attempt is one frame with an error. An error is never
    replaced by a later frame or error before the consumer has seen it.
    """

    def __init__(
        self,
        name: str,
        stem: str,
        connect: Callable[[], Capture | None],
        hint: str,
        options: LiveOptions = LIVE,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        """Open the source and take its first frame. Raises SourceError, ending in `hint`, when there is none.

        `pause` waits that many seconds and returns True if the source was closed meanwhile.
        """
        self.name = name
        self.kind: SourceKind = "live"
        self.total: int | None = None
        self.dropped = 0
        self._stem = stem
        self._connect = connect
        self._options = options
        self._stop = stop
        self._clock = clock
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._condition = threading.Condition()
        self._slot: _Shot | str | None = None
        self._end: str | None = None
        capture = connect()
        if capture is None:
            raise SourceError(f"cannot open {name}: {hint}")
        first = _read(capture)
        if first is None:
            capture.release()
            raise SourceError(f"{name} opens but gives no picture: {hint}")
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = fps if math.isfinite(fps) and 0 < fps < 1000 else None
        self._thread = threading.Thread(target=self._work, args=(capture, first), name=f"grab {name}", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame, or an error, until stopped. SourceError when it gives up reconnecting."""
        number = 0
        while (taken := self._take()) is not None:
            stem = f"{self._stem}_{number:06d}"
            if isinstance(taken, str):
                yield Frame(self.name, number, stem, error=taken)
            else:
                yield Frame(
                    self.name,
                    number,
                    stem,
                    image=taken.image,
                    captured=taken.captured,
                    read_ms=taken.read_ms,
                    taken_s=taken.taken_s,
                )
            number += 1

    def close(self) -> None:
        """Stop the thread, which frees the device; one that hangs in a driver is left after two seconds."""
        self._closed.set()
        with self._condition:
            self._condition.notify_all()
        self._thread.join(timeout=2.0)

    def _take(self) -> _Shot | str | None:
        since = self._clock()
        with self._condition:
            while self._slot is None:
                if self._stop() or self._closed.is_set():
                    return None
                if self._end is not None:
                    raise SourceError(self._end)
                if self._clock() - since >= self._options.silence:
                    return f"{self.name} lost: no frame for {self._options.silence:g} s"
                self._condition.wait(self._options.poll)
            taken, self._slot = self._slot, None
            self._condition.notify_all()
            return taken

    def _work(self, capture: Capture, first: _Shot) -> None:
        current: Capture | None = capture
        shot: _Shot | None = first
        try:
            while current is not None and not self._closed.is_set():
                if shot is None:
                    current.release()
                    current, shot = self._reconnect()
                    continue
                self._publish(shot)
                shot = _read(current)
        finally:
            if current is not None:
                current.release()

    def _publish(self, shot: _Shot) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not isinstance(self._slot, str) or self._closed.is_set())
            self.dropped += self._slot is not None
            self._slot = shot
            self._condition.notify_all()

    def _report(self, error: str) -> None:
        """Hand over an error once the last frame was taken, and wait until it was taken itself."""
        with self._condition:
            self._condition.wait_for(lambda: self._slot is None or self._closed.is_set())
            self._slot = error
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._slot is None or self._closed.is_set())

    def _reconnect(self) -> tuple[Capture | None, _Shot | None]:
        lost, attempt, delay = self._clock(), 0, self._options.backoff
        limit = self._options.reconnect
        while not self._closed.is_set():
            waited = self._clock() - lost
            if limit is not None and waited >= limit:
                self._report(f"{self.name} lost: given up after {attempt} attempts to reconnect")
                with self._condition:
                    self._end = f"{self.name} was lost and {limit:g} s of reconnecting did not bring it back"
                    self._condition.notify_all()
                break
            self._report(f"{self.name} lost: attempt {attempt + 1} to reconnect in {delay:g} s")
            if self._pause(delay):
                break
            attempt += 1
            delay = min(delay * 2, self._options.backoff_most)
            capture = self._connect()
            if capture is None:
                continue
            # A source that opens and then gives nothing has not come back.
            shot = _read(capture)
            if shot is not None:
                return capture, shot
            capture.release()
        return None, None


def _read(capture: Capture) -> _Shot | None:
    if not capture.grab():
        return None
    captured, taken = now_utc(), time.monotonic()
    started = time.perf_counter()
    good, image = capture.retrieve()
    if not good or image is None:
        return None
    return _Shot(as_bgr8(image), captured, (time.perf_counter() - started) * 1000, taken)
