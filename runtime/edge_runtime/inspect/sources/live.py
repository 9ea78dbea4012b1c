"""Cameras and streams: the newest frame wins, and what is not seen is said: lost, silent, stale, damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import Decoder, End, Shot
from edge_runtime.inspect.sources.base import Frame, SourceKind, now_utc
from edge_runtime.inspect.sources.freshness import Freshness
from edge_runtime.inspect.sources.options import LIVE, LiveOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LiveSource"]

_STOPPED = 1.0  # seconds that a wait is late, beyond what a busy machine makes of it


@dataclass(frozen=True, eq=False)
class _Picture:
    """`taken_s`: when it was taken, as far as the stream's clock tells."""

    image: NDArray[np.uint8]
    taken_s: float
    read_ms: float


class LiveSource:
    """A thread takes each picture as it comes; the consumer gets the newest, those between count as dropped.

    A source that is not there, at the beginning too, is opened again and again; each failed attempt is one frame with
    an error, and so is a silence, for as long as it lasts. An error is never replaced by a later frame or error before
    the consumer has seen it. A picture is given only if it is fresh (freshness.py), with the time when it was taken.
    """

    def __init__(
        self,
        name: str,
        stem: str,
        connect: Callable[[], Decoder],
        hint: str,
        options: LiveOptions = LIVE,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = monotonic,
        pause: Callable[[float], bool] | None = None,
        hide: Callable[[str], str] = str,
    ) -> None:
        """Begin to open the source.

        `connect` raises SourceError; `hint` says what to check then. `pause` waits that many seconds and returns True
        if the source was closed meanwhile. `clock` is that of the shots' `arrived`. `hide` takes secrets out of what
        decoders say.
        """
        self.name = name
        self.kind: SourceKind = "live"
        self.total: int | None = None
        self.fps: float | None = None
        self.dropped = 0
        self._stem, self._connect, self._hint = stem, connect, hint
        self._options = options
        self._stop = stop
        self._clock = clock
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._hide = hide
        self._condition = threading.Condition()
        self._slot: _Picture | str | None = None
        self._end: str | None = None
        self._freshness = Freshness(options.silence, options.periods)
        self._limit = self._freshness.limit
        self._silences = 0  # said since the last picture
        # When the consumer was told something, or could have been: nothing is expected while it is opened.
        self._heard = clock() + max(0.0, options.opening - self._limit)
        self._stale_since: float | None = None
        self._given = 0  # fresh pictures, and damaged ones
        self._why = ""
        self._thread = threading.Thread(target=self._work, name=f"live {name}", daemon=True)
        self._thread.start()

    def settle(self, timeout: float) -> str | None:
        """Wait for the first picture, or the first failure: returns why there is none, for people; None: there is one.

        The rate that the source declares is known then.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._slot is not None or self._end is not None, timeout)
            return None if self._given else f"{self.name}: {self._why or 'no picture yet'}; {self._hint}"

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame, or an error, until stopped. SourceError when it gives up reconnecting."""
        number = 0
        while (taken := self._take()) is not None:
            stem = f"{self._stem}_{number:06d}"
            if isinstance(taken, str):
                yield Frame(self.name, number, stem, error=taken, taken_s=self._clock())
            else:
                yield Frame(
                    self.name,
                    number,
                    stem,
                    image=taken.image,
                    captured=now_utc() - timedelta(seconds=self._clock() - taken.taken_s),
                    read_ms=taken.read_ms,
                    taken_s=taken.taken_s,
                )
            number += 1

    def close(self) -> None:
        """Stop the thread, which frees the device; one that hangs is left after two seconds."""
        self._closed.set()
        with self._condition:
            self._condition.notify_all()
        self._thread.join(timeout=2.0)

    def _take(self) -> _Picture | str | None:
        with self._condition:
            while True:
                if self._stop() or self._closed.is_set():
                    return None
                if self._slot is not None:
                    break
                if self._end is not None:
                    raise SourceError(self._end)
                if self._clock() - self._heard > (limit := self._unheard_limit()):
                    self._heard = self._clock()
                    self._silences += 1
                    return f"{self.name} silent: no frame for {limit:.3g} s"
                before = monotonic()
                self._condition.wait(self._options.poll)
                # A wait that took far longer than it was to: this process was stopped (SIGTSTP), or the machine slept.
                # The camera was not silent meanwhile.
                if (stopped := monotonic() - before - self._options.poll) > _STOPPED:
                    self._heard += stopped
            taken, self._slot = self._slot, None
            self._heard = self._clock()
            self._condition.notify_all()
        if isinstance(taken, str):
            return taken
        age = self._clock() - taken.taken_s
        # Nothing newer has come while somebody was busy: the source is silent, and this is the past.
        return taken if age <= self._limit else self._stale(age)

    def _unheard_limit(self) -> float:
        """How long nothing may come before that is said (again).

        Of a camera whose pace nobody knows yet, which may be a slow one, it is said less and less often.
        """
        if self._freshness.known:
            return self._limit
        return min(self._limit * 2.0 ** min(self._silences, 9), max(self._limit, self._options.silence_most))

    def _stale(self, seconds: float) -> str:
        return f"{self.name} stale: {seconds:.1f} s old"

    def _work(self) -> None:
        """Open, read, and open again. Attempts and time begin anew when pictures have come."""
        options = self._options
        attempt, delay, since, why, lost = 0, options.backoff, self._clock(), "", False
        while not self._closed.is_set():
            if lost or attempt:
                if options.reconnect is not None and self._clock() - since >= options.reconnect:
                    self._give_up(attempt, lost, why, options.reconnect)
                    return
                again = "to reconnect " * lost
                self._report(f"{self._state(lost)}: attempt {attempt + 1} {again}in {delay:g} s ({why})")
                if self._pause(delay):
                    return
                delay = min(delay * 2, options.backoff_most)
            attempt += 1
            try:
                decoder = self._connect()
            except SourceError as error:
                self._why = why = self._hide(str(error))
                continue
            before = self._given
            try:
                why = self._read(decoder)
            finally:
                decoder.close()
            if self._given > before:
                attempt, delay, since, lost = 0, options.backoff, self._clock(), True

    def _state(self, lost: bool) -> str:
        return f"{self.name} {'lost' if lost else 'is not there yet'}"

    def _give_up(self, attempts: int, lost: bool, why: str, limit: float) -> None:
        plural = "s" * (attempts != 1)
        self._report(f"{self._state(lost)}: given up after {attempts} attempt{plural}{' to reconnect' * lost} ({why})")
        with self._condition:
            self._end = (
                f"{self.name} was lost and {limit:g} s of reconnecting did not bring it back: {why}"
                if lost
                else f"cannot open {self.name}: {why}; {self._hint}"
            )
            self._condition.notify_all()

    def _read(self, decoder: Decoder) -> str:
        """Take what a decoder gives until it ends; returns why it did."""
        self._freshness.restart(decoder.facts.fps, decoder.facts.clocked)
        self._limit = self._freshness.limit
        self._stale_since = None
        read: Shot | End | None = None
        while not self._closed.is_set() and not isinstance(read, End):
            read = decoder.read(self._options.poll)
            if isinstance(read, Shot):
                self.fps = self.fps or decoder.facts.fps
                self._arrive(read)
                if self._stale_since is not None and read.arrived - self._stale_since > self._options.stale:
                    return f"only stale pictures for {self._options.stale:g} s"
        return self._hide(read.reason or "the stream has ended") if isinstance(read, End) else ""

    def _arrive(self, shot: Shot) -> None:
        """Publish a fresh picture; say of others what is to be said, once in a while."""
        age = self._freshness.see(shot.pts, shot.arrived, shot.number)
        self._limit = self._freshness.limit
        self._silences = 0
        with self._condition:
            self.dropped += shot.dropped
        if shot.error is not None:
            self._publish(f"{self.name}: {self._hide(shot.error)}")
            return
        if age.state != "stale":
            self._stale_since = None
        if age.state == "fresh" and shot.image is not None:
            self._publish(_Picture(np.asarray(shot.image), shot.arrived - age.seconds, shot.decode_ms))
            return
        if age.state == "stale" and self._stale_since is None:
            self._stale_since = shot.arrived
        with self._condition:
            self.dropped += 1
            if age.state == "stale" and self._slot is None and self._clock() - self._heard > self._limit:
                self._slot = self._stale(age.seconds)
                self._condition.notify_all()

    def _publish(self, told: _Picture | str) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not isinstance(self._slot, str) or self._closed.is_set())
            if isinstance(told, str):
                self._condition.wait_for(lambda: self._slot is None or self._closed.is_set())
            self.dropped += self._slot is not None
            self._slot = told
            self._given += 1
            if not isinstance(told, str):
                self._heard = max(self._heard, told.taken_s)
            self._condition.notify_all()

    def _report(self, error: str) -> None:
        """Hand over an error once the last frame was taken, and wait until it was taken itself."""
        with self._condition:
            self._condition.wait_for(lambda: self._slot is None or self._closed.is_set())
            self._slot = error
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._slot is None or self._closed.is_set())
