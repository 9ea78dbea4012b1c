"""Overlap of the masks of objects: IoU of pixels, as COCO has it (pycocotools, maskApi.c, rleIou)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Mask

__all__ = ["NO_MASK", "mask_overlaps", "unlike_pixels"]

NO_MASK = Mask(0, 0, np.zeros((0, 0), np.bool_))


def mask_overlaps(left: Sequence[Mask], right: Sequence[Mask], crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the IoU of each pair, float64 [n, m]; with a crowd region it is over the left mask alone."""
    areas_left, areas_right = (np.array([one.inside.sum() for one in side], np.float64) for side in (left, right))
    both = np.zeros((len(left), len(right)))
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            both[row, column] = _common(one, other)
    union = areas_left[:, None] + areas_right[None, :] - both
    union = np.where(crowd[None, :], areas_left[:, None], union)
    ratio: NDArray[np.float64] = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return ratio


def unlike_pixels(one: Mask, other: Mask, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of an image of this size that are in one of two masks, bool [height, width]."""
    unlike = np.zeros((height, width), np.bool_)
    for mask in (one, other):
        rows, columns = _window(mask)
        inside = unlike[rows, columns]
        inside ^= mask.inside[: inside.shape[0], : inside.shape[1]]
    return unlike


def _window(mask: Mask) -> tuple[slice, slice]:
    height, width = mask.inside.shape
    return slice(mask.top, mask.top + height), slice(mask.left, mask.left + width)


def _common(one: Mask, other: Mask) -> int:
    """The pixels that are in both."""
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom = min(one.top + one.inside.shape[0], other.top + other.inside.shape[0])
    right = min(one.left + one.inside.shape[1], other.left + other.inside.shape[1])
    if bottom <= top or right <= left:
        return 0
    parts = (m.inside[top - m.top : bottom - m.top, left - m.left : right - m.left] for m in (one, other))
    return int(np.count_nonzero(np.logical_and(*parts)))
