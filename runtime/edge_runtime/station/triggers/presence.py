"""The picture as its own trigger: a part comes into view, rests or passes, and leaves. It is judged once.

What is not the empty view is a part (scene.py), followed from picture to picture (tracks.py). One that rests in view is
judged by how it lies then; one that passes, by the pictures in which it was nearest to the middle. Only a part that was
wholly in view was seen: else it is NO_READ, and not forgotten. So is a time in which nothing could be read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.errors import SourceError, UsageError
from edge_runtime.inspect.sources.base import Frame, Source
from edge_runtime.inspect.sources.open import open_source
from edge_runtime.station.parts.part import Part, PartFrame, showing
from edge_runtime.station.triggers.ahead import ahead
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.scene import SIDE, Box, Cells, Empty, cells_of, changed
from edge_runtime.station.triggers.settings import Presence
from edge_runtime.station.triggers.tracks import Track, Tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PresenceTrigger", "empty_pictures"]

_MOST_EMPTY = 50  # pictures of the empty view
_STILL = 1.6 / SIDE  # of the view, that a part at rest seems to move by
_SAME = 0.3  # of its cells that seem to change meanwhile
_MARGIN = 1.5 / SIDE  # around a part that is covered
_AWAY = 1.0 / SIDE  # a part that is so much farther from the middle than it was has passed it
_BLIND_S = 0.5  # what passes meanwhile may not be seen at all
_AGAIN_S = 10.0  # a long blindness, and a view in which parts cannot be told apart, are said again
_UNTOLD_S = 2.0
_PICTURES_A_SECOND = 10.0  # of pictures that lie in a folder

UNSEEN = "a part passed that was never wholly in view (`whole: false` in the recipe allows it)"
UNTOLD = "parts cannot be told apart: no empty place between them is seen. Has the light changed, or the empty view?"


@dataclass(frozen=True, eq=False)
class _Shot:
    """A picture of a part, and where others are in it; the larger `worth`, the better the part is seen."""

    frame: Frame
    worth: tuple[bool, bool, int]
    box: Box
    others: tuple[Box, ...]


@dataclass(eq=False)
class _Life:
    """What is known of a part in view. `anchor`: how and when it was when it began to rest, or seemed to.

    `lay`: how a part that was judged lay when it last rested. `untold`: how many it is nobody can say, as was said.
    """

    anchor: tuple[Cells, Box, float]
    triggered_s: float
    moving_since: float
    shots: list[_Shot] = field(default_factory=list)
    judged: bool = False
    untold: bool = False
    lay: tuple[Cells, Box] | None = None


_Track = Track[_Life]


class PresenceTrigger:
    """A trigger (base.py) for one source."""

    def __init__(self, settings: Presence, line: Line) -> None:
        """Raises UsageError for an empty view that cannot be read."""
        self._settings, self._line = settings, line
        pictures = empty_pictures(settings.empty)
        self._empty, self._picture = Empty(pictures, settings.light), pictures[0]
        self._tracks: Tracks[_Life] = Tracks()
        self._number = 0
        self._seen: float | None = None  # when the view was last seen
        self._told = float("-inf")  # when it was last said that it is not

    def parts(self, source: Source) -> Iterator[PartFrame]:
        """Yield the frames of one part after another."""
        if source.kind == "live":  # it is looked at while a part is being judged, too
            return ahead(source, self._found, self._line.stop)
        return self._found(source)

    def _found(self, source: Source) -> Iterator[PartFrame]:
        last: Frame | None = None
        for frame in source:
            last = frame
            now = _seconds(frame, source)
            if frame.shown is None:
                yield from self._unread(frame, now)
            else:
                yield from self._look(frame, frame.shown, now)
        for track in self._tracks.now:
            if last is not None and not track.data.judged:
                yield from self._decided(track, last)

    def _look(self, frame: Frame, image: NDArray[np.uint8], now: float) -> Iterator[PartFrame]:
        cells = cells_of(image)
        blobs = self._empty.blobs(cells, self._settings.size)
        self._empty.follow(cells, 0.0 if self._seen is None else max(now - self._seen, 0.0))
        self._seen = now
        came, gone = self._tracks.update(blobs, now)
        for track in gone:
            if not track.data.judged:
                yield from self._decided(track, frame)
        for blob in came:
            self._tracks.add(blob, now, _Life((cells, blob.box, now), frame.taken_s, now))
        for track in self._tracks.now:
            if track.seen:
                yield from self._follow(track, frame, cells, now)

    def _follow(self, track: _Track, frame: Frame, cells: Cells, now: float) -> Iterator[PartFrame]:
        life, settings = track.data, self._settings
        resting = self._rests(track, cells, now)
        if life.judged:
            if resting and (life.untold or (track.box.whole and self._is_another(track, cells))):
                # It lies where one was judged, and the view was never empty between them.
                life.judged, life.untold, life.triggered_s = False, False, frame.taken_s
            elif resting or not track.box.full or now - life.moving_since < _UNTOLD_S:
                return
            else:
                yield from self._untold(life, frame, now)
                return
        elif track.box.full and not resting and now - life.moving_since >= _UNTOLD_S:
            yield from self._untold(life, frame, now)
            return
        passed = self._keep(track, frame)
        enough = len(life.shots) == settings.frames and self._fit(life)
        if enough and (passed or (resting and track.box.whole)):
            life.judged = True
            life.lay = (cells, track.box) if resting else None
            yield from self._decided(track, frame)

    def _rests(self, track: _Track, cells: Cells, now: float) -> bool:
        life = track.data
        before, box, since = life.anchor
        if _away(box, track.box) > _STILL or changed(before, cells, track.box, self._settings.light) > _SAME:
            life.anchor = (cells, track.box, now)
            return False
        if now - since < self._settings.settle:
            return False
        life.moving_since = now
        return True

    def _is_another(self, track: _Track, cells: Cells) -> bool:
        """Whether what rests here looks otherwise than what rested here before."""
        life = track.data
        if life.lay is None or _away(life.lay[1], track.box) > _STILL:  # it has moved meanwhile
            life.lay = (cells, track.box)
            return False
        return changed(life.lay[0], cells, track.box, self._settings.light) > _SAME

    def _keep(self, track: _Track, frame: Frame) -> bool:
        """Keep a picture if it is one of the best; returns whether those are over."""
        life, box = track.data, track.box
        near = round((0.5 - box.off_centre) / _AWAY)
        others = tuple(other.box for other in self._tracks.now if other is not track)
        shot = _Shot(frame, (box.whole, frame.error is None, near), box, others)
        if len(life.shots) < self._settings.frames:
            life.shots.append(shot)
            return False
        worst = min(life.shots, key=lambda one: one.worth)
        if shot.worth >= worst.worth:  # of as good ones the newest: what comes to rest trembles at first
            life.shots.remove(worst)
            life.shots.append(shot)
            return False
        best = max(one.worth for one in life.shots)
        return not box.whole or near < best[2]

    def _fit(self, life: _Life) -> bool:
        return not self._settings.whole or all(one.worth[0] for one in life.shots)

    def _untold(self, life: _Life, frame: Frame, now: float) -> Iterator[PartFrame]:
        life.moving_since = now + _AGAIN_S - _UNTOLD_S
        life.judged = life.untold = True
        life.shots.clear()
        yield self._failed(frame, UNTOLD)

    def _decided(self, track: _Track, now: Frame) -> Iterator[PartFrame]:
        """Yield the frames that stand for a part."""
        life = track.data
        shots = [self._alone(one) for one in life.shots if one.worth[0] or not self._settings.whole]
        life.shots = []
        if not shots:
            yield self._failed(now, UNSEEN)
            return
        shots.sort(key=lambda frame: frame.frame_id)
        part = self._next(life.triggered_s)
        for number, frame in enumerate(shots):
            yield showing(frame, part, last=number == len(shots) - 1)

    def _alone(self, shot: _Shot) -> Frame:
        """The picture with the empty view in place of other parts: what is wrong with them is not this one's."""
        image = shot.frame.image
        if not (self._settings.alone and shot.others) or image is None:
            return shot.frame
        height, width = image.shape[:2]
        empty = self._picture
        if empty.shape != image.shape:
            empty = cv2.resize(empty, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        covered = image.copy()
        for box in shot.others:
            place = box.grown(_MARGIN).pixels(height, width)
            covered[place] = empty[place]
        own = shot.box.grown(_MARGIN / 2).pixels(height, width)
        covered[own] = image[own]
        return dataclasses.replace(shot.frame, image=covered)

    def _unread(self, frame: Frame, now: float) -> Iterator[PartFrame]:
        """A frame without a picture: nobody knows what passes until the next one."""
        blind = 0.0 if self._seen is None else now - self._seen
        if 0 < blind < _BLIND_S:
            return
        lost = [track for track in self._tracks.now if not track.data.judged]
        self._tracks.now = []
        for track in lost:
            yield from self._decided(track, frame)
        if now - self._told >= _AGAIN_S or (self._seen or 0.0) > self._told:
            self._told = now
            yield self._failed(frame, frame.error or "")

    def _failed(self, frame: Frame, why: str) -> PartFrame:
        failed = dataclasses.replace(frame, image=None, error=why, unfit=frame.shown)
        return showing(failed, self._next(frame.taken_s), last=True)

    def _next(self, triggered_s: float) -> Part:
        part = Part(self._number, None, triggered_s)
        self._number += 1
        return part


def empty_pictures(path: Path) -> list[NDArray[np.uint8]]:
    """Read the pictures of the empty view, a file or a folder. Raises UsageError, which says what is wrong."""
    try:
        with contextlib.closing(open_source(str(path))) as source:
            frames = list(itertools.islice(source, _MOST_EMPTY))
    except SourceError as error:
        raise UsageError(f"{error}; edge-station learn --empty takes a picture of the empty view") from error
    for frame in frames:
        if frame.image is None:
            raise UsageError(f"the picture of the empty view cannot be read: {frame.error}")
    if not frames:
        raise UsageError(f"{path} holds no picture of the empty view; edge-station learn --empty takes one")
    return [frame.image for frame in frames if frame.image is not None]


def _away(one: Box, other: Box) -> float:
    return max(abs(a - b) for a, b in zip(one.sides, other.sides, strict=True))


def _seconds(frame: Frame, source: Source) -> float:
    """When a frame was taken: in a film by its place, of a folder as if it were one, else by the clock."""
    if source.kind == "live":
        return frame.taken_s
    return frame.frame_id / (source.fps or _PICTURES_A_SECOND)
