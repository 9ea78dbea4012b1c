"""Which of the things in view is which from picture to picture. Pure.

All that lies on a belt moves as the belt does. A thing is followed by where it must be now, or where it was; two that
run together for some pictures go on as they went.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge_runtime.station.triggers.scene import Blob, Box

__all__ = ["Track", "Tracks"]

_LEAST = 0.2  # of the smaller of two boxes that must be shared
_INSIDE = 0.6  # of a box that lies in another one
_MISSING_S = 0.35  # a thing that is not seen for so long is gone
_FRAMES = 3  # or for so many pictures, where they come more slowly

T = TypeVar("T")


@dataclass(eq=False)
class Track(Generic[T]):
    """A thing in view. `seen`: whether it was told from others in the newest picture. `data` is the caller's."""

    box: Box
    since: float
    data: T
    seen: bool = True
    last: float = 0.0
    missing: int = 0


@dataclass(eq=False)
class Tracks(Generic[T]):
    """All that is in view; seconds, shares of the view."""

    now: list[Track[T]] = field(default_factory=list)
    _speed: tuple[float, float] = (0.0, 0.0)
    _time: float | None = None

    def update(self, blobs: Sequence[Blob], at: float) -> tuple[list[Blob], list[Track[T]]]:
        """Take what is in view, and return what came into it, and what has left."""
        seconds = 0.0 if self._time is None else max(at - self._time, 0.0)
        self._time = at
        ahead = {id(track): track.box.moved(*(speed * seconds for speed in self._speed)) for track in self.now}
        pairs = self._pairs(blobs, ahead)
        taken = {id(track): number for track, number in pairs}
        left_over = [number for number in range(len(blobs)) if number not in taken.values()]
        together = self._together(blobs, taken, ahead)
        steps: list[tuple[float | None, float | None]] = []
        for track in self.now:
            number = taken.get(id(track))
            if id(track) in together:
                track.box, track.seen, track.last, track.missing = ahead[id(track)], False, at, 0
            elif number is None:
                track.seen, track.missing = False, track.missing + 1
                track.box = ahead[id(track)]
            else:
                box = blobs[number].box
                for other in list(left_over):  # a piece of it
                    if blobs[other].box.shared(ahead[id(track)]) > _INSIDE * blobs[other].box.area:
                        box = box.around(blobs[other].box)
                        left_over.remove(other)
                steps.append(_step(track.box, box))
                track.box, track.seen, track.last, track.missing = box, True, at, 0
        if seconds:
            self._learn(steps, seconds)
        gone = [track for track in self.now if self._is_gone(track, at)]
        self.now = [track for track in self.now if track not in gone]
        return [blobs[number] for number in left_over], gone

    def add(self, blob: Blob, at: float, data: T) -> Track[T]:
        """Follow one that came into view."""
        track = Track(blob.box, at, data, last=at)
        self.now.append(track)
        return track

    def _pairs(self, blobs: Sequence[Blob], ahead: dict[int, Box]) -> list[tuple[Track[T], int]]:
        """Each track with the blob that fits it best, the best fit of all first."""
        scores = []
        for (order, track), (number, blob) in itertools.product(enumerate(self.now), enumerate(blobs)):
            score = max(_alike(ahead[id(track)], blob.box), 0.9 * _alike(track.box, blob.box))
            if score > 0:
                scores.append((score, order, number))
        pairs: list[tuple[Track[T], int]] = []
        tracks: set[int] = set()
        numbers: set[int] = set()
        for _, order, number in sorted(scores, key=lambda one: -one[0]):
            if order not in tracks and number not in numbers:
                pairs.append((self.now[order], number))
                tracks.add(order)
                numbers.add(number)
        return pairs

    def _together(self, blobs: Sequence[Blob], taken: dict[int, int], ahead: dict[int, Box]) -> set[int]:
        """The tracks that lie in one blob with others: nothing tells them apart just now."""
        found: set[int] = set()
        for number, blob in enumerate(blobs):
            inside = [
                id(track)
                for track in self.now
                if taken.get(id(track)) in (None, number)
                and (area := _seen(ahead[id(track)]).area) > 0
                and blob.box.shared(ahead[id(track)]) > _INSIDE * area
            ]
            if len(inside) > 1:
                found.update(inside)
        return found

    def _learn(self, steps: Sequence[tuple[float | None, float | None]], seconds: float) -> None:
        speeds = []
        for axis, old in enumerate(self._speed):
            known = [step[axis] for step in steps if step[axis] is not None]
            speeds.append(sum(one for one in known if one is not None) / len(known) / seconds if known else old)
        self._speed = (speeds[0], speeds[1])

    def _is_gone(self, track: Track[T], at: float) -> bool:
        if track.seen or not track.missing:
            return False
        outside = _seen(track.box).area <= 0.02 * max(track.box.area, 1e-9)
        return outside or (at - track.last >= _MISSING_S and track.missing >= _FRAMES)


def _seen(box: Box) -> Box:
    return Box(max(box.left, 0.0), max(box.top, 0.0), min(box.right, 1.0), min(box.bottom, 1.0))


def _alike(one: Box, other: Box) -> float:
    """The shared part of two boxes, 0 to 1; 0 where it is too little."""
    one = _seen(one)
    shared = one.shared(other)
    least = min(one.area, other.area)
    if least <= 0 or shared < _LEAST * least:
        return 0.0
    return shared / (one.area + other.area - shared)


def _step(before: Box, now: Box) -> tuple[float | None, float | None]:
    """By how much it moved to the right and down, told by its ends that are in view; None: none is."""
    steps = []
    for one, other in ((0, 2), (1, 3)):
        moved = [
            now.sides[side] - before.sides[side]
            for side in (one, other)
            if not (now.at_edge[side] or before.at_edge[side])
        ]
        steps.append(sum(moved) / len(moved) if moved else None)
    return steps[0], steps[1]
