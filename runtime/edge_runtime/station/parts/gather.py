"""Frames of parts come in, parts go out: each once, in order, those too whose frames were never looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge_runtime.station.parts.decide import Decision, PartRule, View, decide
from edge_runtime.station.parts.part import Part

__all__ = ["Gather", "Gathered"]

T = TypeVar("T")


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """A part with its verdict and its frames as they were handed in; without frames there is no decision."""

    part: Part
    decision: Decision | None
    frames: tuple[T, ...]


class Gather(Generic[T]):
    """Gathers the frames of one station's parts, which come one part after another."""

    def __init__(self, rule: PartRule) -> None:
        self._rule = rule
        self._next = 0  # the number of the next part that goes out
        self._part: Part | None = None
        self._views: list[View] = []
        self._frames: list[T] = []

    def add(self, part: Part, last: bool, view: View, frame: T) -> Iterator[Gathered[T]]:
        """Take a frame, and yield the parts that are decided by it."""
        if part.number < self._next:  # decided by its first NG
            return
        if self._part is not None and part.number != self._part.number:
            yield self._decided(complete=False)
        while self._next < part.number:
            yield Gathered(Part(self._next), None, ())
            self._next += 1
        self._part = part
        self._views.append(view)
        self._frames.append(frame)
        if last or (self._rule == "first_ng" and view.verdict == "NG"):
            yield self._decided(complete=True)

    def end(self) -> Iterator[Gathered[T]]:
        """Nothing more comes: yield the part that was being looked at, if one was."""
        if self._part is not None:
            yield self._decided(complete=False)

    def _decided(self, complete: bool) -> Gathered[T]:
        part, views, frames = self._part or Part(self._next), self._views, tuple(self._frames)
        self._part, self._views, self._frames = None, [], []
        self._next = part.number + 1
        return Gathered(part, decide(self._rule, views, complete), frames)
