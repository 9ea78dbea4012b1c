"""The cheapest labelling of units with "int8" or "float", as a minimum cut.

Every unit costs what its kernel takes under its label, and a tensor costs what turning it to integers or back takes
where the units round it differ. Such costs are submodular, so a minimum cut gives the true optimum (Kolmogorov and
Zabih, "What Energy Functions Can Be Minimized via Graph Cuts?", PAMI 2004); the cut itself is scipy's Dinic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Problem", "Tensor", "solve"]

# Capacities are integers: microseconds are counted in thousandths.
_STEPS = 1000
_INFINITE = 2**30


@dataclass(frozen=True)
class Tensor:
    """A value between units. `producer` and `readers` are units' places, None stands for what is always float.

    `enter`: cost when its producer is float and some reader int8; `leave`: when its producer is int8 and some reader
    float.
    """

    producer: int | None
    readers: tuple[int | None, ...]
    enter: float
    leave: float


@dataclass(frozen=True)
class Problem:
    """`floats[i]`, `ints[i]`: what unit i costs as float and as int8 (inf: not possible).

    `follows`: (i, j) where unit i can be int8 only if unit j is.
    """

    floats: Sequence[float]
    ints: Sequence[float]
    tensors: Sequence[Tensor]
    follows: Sequence[tuple[int, int]] = ()

    def cost(self, int8: Mapping[int, bool] | Sequence[bool]) -> float:
        """Return what a labelling costs."""
        total = sum(self.ints[i] if int8[i] else self.floats[i] for i in range(len(self.floats)))
        for tensor in self.tensors:
            made = tensor.producer is not None and int8[tensor.producer]
            read = [reader is not None and int8[reader] for reader in tensor.readers]
            total += tensor.enter if not made and any(read) else 0.0
            total += tensor.leave if made and not all(read) else 0.0
        return total


def solve(problem: Problem) -> list[bool]:
    """Return for every unit whether it is int8 in a cheapest labelling (with the fewest int8 units, where several are).

    Units of the source's side of the cut are int8; the sink stands for all that is always float.
    """
    from scipy.sparse import csr_matrix  # half a second that an export without a search does not need
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = len(problem.floats)
    source, sink = count, count + 1
    edges: dict[tuple[int, int], int] = {}

    def add(tail: int, head: int, cost: float) -> None:
        capacity = _INFINITE if cost == float("inf") else min(_INFINITE, round(cost * _STEPS))
        if capacity > 0:
            edges[tail, head] = min(_INFINITE, edges.get((tail, head), 0) + capacity)

    for place, (as_float, as_int) in enumerate(zip(problem.floats, problem.ints, strict=True)):
        add(source, place, as_float)  # cut when the unit is on the sink's side: float
        add(place, sink, as_int)
    extra = count + 2
    for tensor in problem.tensors:
        producer = sink if tensor.producer is None else tensor.producer
        readers = [sink if reader is None else reader for reader in tensor.readers]
        for reader in readers:
            if reader != sink:
                add(reader, extra, float("inf"))  # an int8 reader wants the tensor as integers
        add(extra, producer, tensor.enter)
        add(producer, extra + 1, tensor.leave)
        for reader in readers:
            add(extra + 1, reader, float("inf"))  # a float reader wants it as floats
        extra += 2
    for unit, needed in problem.follows:
        add(unit, needed, float("inf"))
    tails, heads = zip(*edges, strict=True) if edges else ((), ())
    matrix = csr_matrix((np.array(list(edges.values()), np.int32), (tails, heads)), shape=(extra, extra))
    residual = matrix - maximum_flow(matrix, source, sink).flow
    residual.data = np.where(residual.data > 0, residual.data, 0)
    residual.eliminate_zeros()
    reached = set(breadth_first_order(residual, source, return_predecessors=False).tolist())
    return [place in reached for place in range(count)]
