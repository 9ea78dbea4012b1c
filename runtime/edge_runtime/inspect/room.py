"""What the frames of a run take within a memory limit, beside the engine."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.inspect.sources.base import Frame

__all__ = ["FRAME_COPIES", "RUN_BYTES", "frames_bytes"]

# Of a frame: as it was read, resized, drawn on, encoded.
FRAME_COPIES = 5
# What the pipeline takes besides: records, overlays, labels.
RUN_BYTES = 6 << 20
_FULL_HD = 1920 * 1080 * 3


def frames_bytes(firsts: Sequence[Frame | None], kept: int, at_once: int) -> int:
    """Return the bytes that reading, judging and saving takes, for sources whose frames are as large as their first.

    `kept` frames of each source are in memory, `at_once` of all are worked on. A first frame that nobody knows (None,
    or not read) counts as full HD.
    """
    sizes = [_FULL_HD if frame is None or frame.image is None else frame.image.nbytes for frame in firsts]
    return RUN_BYTES + sum(sizes) * kept + (FRAME_COPIES - 1) * max(sizes) * at_once
