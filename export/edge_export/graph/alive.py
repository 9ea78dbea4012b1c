"""Which values of a graph are alive behind each of its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx

__all__ = ["alive_behind"]


def alive_behind(nodes: Sequence[onnx.NodeProto], last: Mapping[str, int]) -> Iterator[frozenset[str]]:
    """Yield for each node the values made up to it that a later one reads; `last` tells where each is read last.

    What a graph is given, inputs and weights, is not among them.
    """
    alive: frozenset[str] = frozenset()
    for place, node in enumerate(nodes):
        made = (*alive, *(name for name in node.output if name))
        alive = frozenset(name for name in made if last.get(name, -1) > place)
        yield alive
