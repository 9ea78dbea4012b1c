"""What the frames of a run take within a memory limit, beside the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.sources.stills.room import UNBOUNDED, Room

__all__ = ["FRAME_COPIES", "FULL_HD", "RUN_BYTES", "frames_bytes", "picture_room", "reader_bytes"]

# Of a frame: as it was read, resized, drawn on, encoded.
FRAME_COPIES = 5
# What the pipeline takes besides: records, overlays, labels.
RUN_BYTES = 6 << 20
FULL_HD = 1920 * 1080 * 3
# Of a frame in the reader's process, after the first was decoded: slots, and what a decoder keeps of earlier ones.
_READER_COPIES = 4
_READER_BYTES = 4 << 20
# The part of a limit that the first picture of a source may take, and what any may.
_FIRST = 1 / 8
_ANY = 2 << 20
_WORKING = 4 << 20


def frames_bytes(firsts: Sequence[Frame | None], kept: int, at_once: int) -> int:
    """Return the bytes that reading, judging and saving takes, for sources whose frames are as large as their first.

    `kept` frames of each source are in memory, `at_once` of all are worked on. A first frame that nobody knows (None,
    or not read) counts as full HD.
    """
    sizes = [FULL_HD if frame is None or frame.image is None else frame.image.nbytes for frame in firsts]
    return RUN_BYTES + sum(sizes) * kept + (FRAME_COPIES - 1) * max(sizes) * at_once


def reader_bytes(now: int, firsts: Sequence[Frame | None]) -> int:
    """Return what the reader's process will take, that takes `now` with each source's first frame decoded."""
    sizes = [FULL_HD if frame is None or frame.image is None else frame.image.nbytes for frame in firsts]
    return now + _READER_BYTES + _READER_COPIES * sum(sizes) if now else 0


def picture_room(limit: int | None, needed: Callable[[int, int], tuple[int, int]]) -> Room:
    """Return how large the first picture of a source may be within a memory limit; `needed` as in Room.

    The plan is made for the first: later ones may be as large.
    """
    if limit is None:
        return UNBOUNDED
    return Room(max(int(limit * _FIRST), _ANY), _WORKING, _ANY, needed)
