"""COCO's compressed run lengths: what a record holds of a mask."""

from __future__ import annotations

import numpy as np

from edge_runtime.results import Mask

__all__ = ["compressed", "run_lengths"]


def run_lengths(mask: Mask, width: int, height: int) -> list[int]:
    """Lengths of runs outside and inside by turns, down the columns of a picture of this size; outside comes first."""
    bottom, right = min(mask.inside.shape[0], height - mask.top), min(mask.inside.shape[1], width - mask.left)
    columns = mask.inside[:bottom, :right].T
    edges = np.diff(np.pad(columns, ((0, 0), (1, 1))).view(np.int8), axis=1)
    starts, ends = ((np.argwhere(edges == step) * [height, 1]).sum(axis=1) for step in (1, -1))
    # A run may go on at the top of the next column.
    apart = starts[1:] != ends[:-1]
    starts, ends = (
        starts[np.r_[True, apart]] if len(starts) else starts,
        ends[np.r_[apart, True]] if len(ends) else ends,
    )
    corner = mask.left * height + mask.top
    places = np.stack([starts, ends], axis=1).reshape(-1) + corner
    lengths = np.diff(places, prepend=0).tolist()
    rest = width * height - (int(places[-1]) if len(places) else 0)
    return [*map(int, lengths), rest] if rest else [*map(int, lengths)]


def compressed(lengths: list[int]) -> str:
    """The lengths as text, each less the one before the last, six bits a letter.

    Source: cocodataset/cocoapi, common/maskApi.c, rleToString.
    """
    letters = []
    for index, length in enumerate(lengths):
        value = length - lengths[index - 2] if index > 2 else length
        more = True
        while more:
            part = value & 0x1F
            value >>= 5
            more = value != (-1 if part & 0x10 else 0)
            letters.append(chr((part | 0x20 if more else part) + 48))
    return "".join(letters)
