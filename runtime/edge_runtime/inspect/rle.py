"""COCO's compressed run lengths: what a record holds of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.results import Mask

__all__ = ["compressed", "mask_of", "run_lengths"]


def run_lengths(mask: Mask, width: int, height: int) -> NDArray[np.int64]:
    """Lengths of runs outside and inside by turns, down the columns of a picture of this size; outside comes first."""
    bottom, right = min(mask.inside.shape[0], height - mask.top), min(mask.inside.shape[1], width - mask.left)
    # With a pixel outside before each column and one at the very end, a run never goes on in the next column.
    columns = np.zeros((right, bottom + 1), np.bool_)
    columns[:, 1:] = mask.inside[:bottom, :right].T
    flat = np.append(columns.reshape(-1), False)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, lasts = edges[::2], edges[1::2] - 1
    corner = mask.left * height + mask.top
    starts, ends = ((place // (bottom + 1)) * height + place % (bottom + 1) - 1 + corner for place in (starts, lasts))
    ends += 1
    # In the whole picture it may, where the mask touches its upper and lower edge.
    apart = starts[1:] != ends[:-1]
    if not apart.all():
        starts, ends = starts[np.append(True, apart)], ends[np.append(apart, True)]
    places = np.append(np.stack([starts, ends], axis=1).reshape(-1), width * height)
    lengths = np.diff(places, prepend=0).astype(np.int64)
    return lengths if lengths[-1] or len(lengths) == 1 else lengths[:-1]


def compressed(lengths: NDArray[np.int64]) -> str:
    """The lengths as text, each less the one before the last, five bits a letter and one for "more follow".

    Source: cocodataset/cocoapi, common/maskApi.c, rleToString.
    """
    left = lengths.copy()
    left[3:] -= lengths[1:-2]
    letters: list[NDArray[np.uint8]] = []
    written: list[NDArray[np.bool_]] = []
    going = np.ones(len(left), np.bool_)
    while going.any():
        part = left & 0x1F
        left >>= 5
        more = going & (left != np.where(part & 0x10, -1, 0))
        letters.append((part + 0x20 * more + 48).astype(np.uint8))
        written.append(going)
        going = more
    return np.stack(letters, axis=1)[np.stack(written, axis=1)].tobytes().decode("ascii")


def mask_of(text: str, height: int, width: int) -> Mask:
    """Return the mask that run lengths as text stand for, of a whole picture.

    Raises ValueError for what is none. Source: cocodataset/cocoapi, common/maskApi.c, rleFrString.
    """
    lengths: list[int] = []
    value, shift = 0, 0
    for letter in text:
        part = ord(letter) - 48
        value |= (part & 0x1F) << shift
        shift += 5
        if not part & 0x20:
            value -= (1 << shift) if part & 0x10 else 0
            lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
            value, shift = 0, 0
    if shift or min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(f"these are no run lengths of a picture of {width}x{height}: {text[:40]!r}")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return Mask(0, 0, flat.reshape(width, height).T)
