"""Where a lowered graph is cut: so that streaming it takes little memory at a time, in few blocks.

While a block computes, its weights and those of the next one are in memory, and the values that enter and leave it. The
least that can be had of that over all partitions is sought by bisection; of the partitions that take hardly more, the
one of the fewest blocks is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Boundary", "boundaries", "choose_cuts"]

_Floats = npt.NDArray[np.float64]

# How much more than the least a partition may take, for fewer blocks; how near the least is sought.
_NEARLY, _BISECTED = 1.1, 0.005
# The least bytes of a block's weights.
_LEAST = 64 << 10
# What crosses a boundary is read and written at every run; a value in the middle of two blocks is not.
_MOST_VALUES = 4


@dataclass(frozen=True)
class Boundary:
    """A place to cut: in front of node `node`; `values` cross it."""

    node: int
    values: tuple[bytes, ...]


def boundaries(
    reads: Sequence[frozenset[bytes]],
    makes: Sequence[Sequence[bytes]],
    outputs: frozenset[bytes],
    inputs: frozenset[bytes],
    most: int = _MOST_VALUES,
) -> list[Boundary]:
    """Return the places where at most `most` values that nodes make cross, from the second node to the last.

    `reads` and `makes` are what each node takes and gives, in an order in which they can run.
    """
    last = {name: index for index, names in enumerate(reads) for name in names}
    last.update(dict.fromkeys(outputs, len(reads)))
    alive: set[bytes] = set(inputs)
    found = []
    for node in range(1, len(reads)):
        alive |= {name for name in makes[node - 1] if name in last}
        alive = {name for name in alive if last.get(name, -1) >= node}
        crossing = sorted(alive)
        if 0 < len(crossing) <= most:
            found.append(Boundary(node, tuple(crossing)))
    return found


def choose_cuts(places: Sequence[Boundary], weights: Sequence[int], sizes: Mapping[bytes, int]) -> list[Boundary]:
    """Return the boundaries to cut at, ascending; none where nothing is gained.

    `weights`: the bytes that each node streams. `sizes`: bytes of a value for the batch; a boundary with a value that
    is not in it is left out.
    """
    known = [place for place in places if all(name in sizes for name in place.values)]
    ends = [frozenset[bytes](), *(frozenset(place.values) for place in known), frozenset[bytes]()]
    held = np.cumsum([0, *weights])[[0, *(place.node for place in known), len(weights)]]
    ahead = np.triu(np.ones((len(ends), len(ends)), np.bool_), 1)
    # [start, stop]: a block's weights, and those with what enters and leaves it.
    own = np.where(ahead, (held[None, :] - held[:, None]).astype(float), np.inf)
    # A block of nothing to load gains nothing: the next one's weights are loaded while the one before it computes.
    own[own < _LEAST] = np.inf
    own[0, -1] = held[-1]
    alive = np.array([[sum(sizes[name] for name in one | other) for other in ends] for one in ends])
    takes = own + alive
    low, high = float(takes[:-1, 1:].min()), float(takes[0, -1])
    while high - low > _BISECTED * high:
        middle = (low + high) / 2
        if _fewest(own, takes, middle) is None:
            low = middle
        else:
            high = middle
    found = _fewest(own, takes, _NEARLY * high)
    return [known[at - 1] for at in found or ()]


def _fewest(own: _Floats, takes: _Floats, most: float) -> list[int] | None:
    """Return the inner boundaries of the partition of the fewest blocks that takes at most so much; None for none.

    After each number of blocks, `spare` is for each boundary what the best partition up to there leaves for the block
    that comes next: of two partitions of as many blocks the one that leaves more can do all that the other can.
    """
    last = len(own) - 1
    spare = np.full(len(own), -np.inf)
    spare[0] = np.inf
    entered: list[npt.NDArray[np.intp]] = []
    while len(entered) < last:
        left = np.where(own <= spare[:, None], most - takes, -np.inf)
        left[left < 0] = -np.inf
        entered.append(left.argmax(axis=0))
        spare = left.max(axis=0)
        if spare[last] >= 0:
            break
        if not np.isfinite(spare).any():
            return None
    else:
        return None
    path = [last]
    for before in reversed(entered):
        path.append(int(before[path[-1]]))
    return path[-2:0:-1]
