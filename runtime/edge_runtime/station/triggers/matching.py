"""Which frame of a camera shows which of the parts that were announced. Pure: no threads, no clock of its own.

A frame that was taken before a part was due is never one of it, and neither is one that was taken when the next part
was due already: which of the two it shows nobody knows. A frame that is missing is one that could not be read.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from edge_runtime.inspect.sources.base import Frame
from edge_runtime.station.triggers.settings import Timing

__all__ = ["Matching", "Showing", "Signal"]


class Signal:
    """A part that was announced: `part` its name, if it has one, `at` when, on time.monotonic's clock.

    Whoever announced it may wait until its frames were handed on to be judged; `missing` then says why some of them
    were not taken ("": they were), and `refused` why it is no part at all.
    """

    def __init__(self, number: int, part: str | None, at: float, refused: str = "") -> None:
        self.number, self.part, self.at, self.refused = number, part, at, refused
        self.missing = ""
        self._over = threading.Event()
        if refused:
            self._over.set()

    def wait(self, seconds: float) -> bool:
        """Wait, at most so long, until the part was handed on to be judged, or refused; False: it was not yet."""
        return self._over.wait(seconds)

    def over(self, refused: str = "") -> None:
        """Say that it was, by whoever hands it on."""
        self.refused = self.refused or refused
        self._over.set()


@dataclass(frozen=True, eq=False)
class Showing:
    """One of a part's frames, or why it is missing; `last`: no other one of it comes."""

    signal: Signal
    frame: Frame | str
    last: bool


class Matching:
    """Parts in the order in which they were announced, each with the next `timing.frames` frames from when it is due.

    `frame.taken_s`, `Signal.at` and `now_s` are of one clock.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._signals: deque[Signal] = deque()
        self._taken = 0  # of the first part's frames
        self._since = 0.0  # when the last of them was taken

    def __len__(self) -> int:
        return len(self._signals)

    def announce(self, signal: Signal) -> None:
        """A part is there, after the ones before."""
        self._signals.append(signal)

    def first(self) -> Signal | None:
        """Return the part whose turn it is, as one that waits no longer; None: nothing waits."""
        return self._signals.popleft() if self._signals else None

    def see(self, frame: Frame) -> list[Showing]:
        """A frame was taken: return what is decided by it."""
        found: list[Showing] = []
        while self._signals and frame.taken_s >= self._due(0):
            if len(self._signals) > 1 and frame.taken_s >= self._due(1):
                found += self._missing("the next part was due before a frame of this one was taken")
            elif frame.taken_s > self._until():
                found += self._late()
            else:
                found.append(self._shown(frame))
                self._since = frame.taken_s
                break
        return found

    def expire(self, now_s: float) -> list[Showing]:
        """Return the parts of which no frame has come in time."""
        found: list[Showing] = []
        while self._signals and now_s > self._until():
            found += self._late()
        return found

    def end(self, why: str) -> list[Showing]:
        """No more frames come: return every part that waits for one."""
        found: list[Showing] = []
        while self._signals:
            found += self._missing(why)
        return found

    def next_s(self) -> float | None:
        """When `expire` is to be called; None: nothing waits."""
        return self._until() if self._signals else None

    def _due(self, place: int) -> float:
        return self._signals[place].at + self._timing.delay

    def _until(self) -> float:
        return (self._since if self._taken else self._due(0)) + self._timing.deadline

    def _late(self) -> list[Showing]:
        return self._missing(f"no frame was taken within {self._timing.deadline:g} s of when the part was due")

    def _missing(self, why: str) -> list[Showing]:
        """Give up the first part: each frame that it lacks is one that could not be read."""
        self._signals[0].missing = why
        return [self._shown(why) for _ in range(self._timing.frames - self._taken)]

    def _shown(self, frame: Frame | str) -> Showing:
        signal = self._signals[0]
        self._taken += 1
        last = self._taken == self._timing.frames
        if last:
            self._signals.popleft()
            self._taken = 0
        return Showing(signal, frame, last)
