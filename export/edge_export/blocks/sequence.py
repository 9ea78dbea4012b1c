"""The graph as a sequence that can be cut anywhere: a main line of nodes, and copies that go with their readers.

A DequantizeLinear costs little to repeat, and what is made of constants alone costs nothing once onnxruntime has folded
it, so they are not on the main line: every block that reads them gets a copy. What crosses a cut is then the int8
tensor, a quarter of the bytes, and each block holds the whole DQ -> op -> Q group that onnxruntime fuses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import onnx

from edge_export.graph import Graph
from edge_export.graph.alive import alive_behind
from edge_export.state import Cut

__all__ = ["Sequence", "make_sequence"]

# Each copy would give other values.
_RANDOM = frozenset({"RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"})


@dataclass(frozen=True)
class Sequence:
    """`main` in topological order; `copied` are the repeatable nodes by the value they make.

    `needs[i]` are the main-line values, graph inputs and initializers that main node i reads, through copies or not.
    """

    main: tuple[onnx.NodeProto, ...]
    copied: dict[str, onnx.NodeProto]
    needs: tuple[frozenset[str], ...]
    weights: frozenset[str]
    graph_inputs: tuple[str, ...]
    graph_outputs: tuple[str, ...]

    @cached_property
    def made_at(self) -> dict[str, int]:
        """The position of the main node that makes each value."""
        return {name: i for i, node in enumerate(self.main) for name in node.output if name}

    @cached_property
    def readers_at(self) -> dict[str, list[int]]:
        """The positions of the main nodes that read each value, ascending."""
        readers: dict[str, list[int]] = {}
        for i, need in enumerate(self.needs):
            for name in need:
                readers.setdefault(name, []).append(i)
        return readers

    def copies_for(self, name: str) -> list[onnx.NodeProto]:
        """Return the repeatable nodes that make `name` from the main line, in order, each once; [] when it is on it."""
        found: dict[str, onnx.NodeProto] = {}
        self._copy_into(found, name)
        return list(found.values())

    def _copy_into(self, found: dict[str, onnx.NodeProto], name: str) -> None:
        node = self.copied.get(name)
        if node is None or name in found:
            return
        for source in Graph.reads(node):
            self._copy_into(found, source)
        found[name] = node

    def roots(self, name: str) -> set[str]:
        """Return the main-line values, inputs and initializers behind `name`."""
        return _roots(self.copied, name)

    def block(self, start: int, stop: int) -> Cut:
        """Return the block of main nodes start..stop-1 with what enters and leaves it."""
        nodes: list[onnx.NodeProto] = []
        have: set[int] = set()

        def add(items: list[onnx.NodeProto]) -> None:
            nodes.extend(item for item in items if id(item) not in have)
            have.update(id(item) for item in items)

        for node in self.main[start:stop]:
            for name in Graph.reads(node):
                add(self.copies_for(name))
            add([node])
        made = {name for node in self.main[start:stop] for name in node.output if name}
        needed = {name for need in self.needs[start:stop] for name in need}
        outputs: list[str] = []
        for name in self.graph_outputs:
            if self._belongs(name, start, stop):
                add(self.copies_for(name))
                needed |= self.roots(name)
                outputs.append(name)
        later = {name for name in made if self.readers_at.get(name, [-1])[-1] >= stop}
        outputs += sorted(later - set(outputs), key=self._order)
        inputs = sorted(needed - made - self.weights, key=self._order)
        return Cut(tuple(nodes), tuple(inputs), tuple(outputs))

    def crossings(self) -> Iterator[frozenset[str]]:
        """Yield, for each main position, the values that a cut before it makes cross from block to block."""
        last = {name: places[-1] for name, places in self.readers_at.items()}
        nothing: frozenset[str] = frozenset()
        return itertools.islice(itertools.chain([nothing], alive_behind(self.main, last)), len(self.main))

    def _belongs(self, name: str, start: int, stop: int) -> bool:
        """Tell whether the block start..stop gives the graph output `name`."""
        if name in self.weights or name in self.graph_inputs:
            return stop == len(self.main)  # made by no node: the last block gives it
        if name not in self.copied:
            return start <= self.made_at.get(name, -1) < stop
        places = [self.made_at[root] for root in self.roots(name) if root in self.made_at]
        # An output made of constants or inputs alone belongs to no block in particular: the last one gives it.
        return start <= max(places) < stop if places else stop == len(self.main)

    def _order(self, name: str) -> tuple[int, str]:
        return self.made_at.get(name, -1), name


def make_sequence(model: onnx.ModelProto) -> Sequence:
    """Sort a model's top-level nodes into the main line and what is copied to its readers."""
    graph = Graph(model)
    copied: dict[str, onnx.NodeProto] = {}
    constants = set(graph.weights)
    main = []
    for node in model.graph.node:
        constant = bool(node.input) and node.op_type not in _RANDOM and constants.issuperset(Graph.reads(node))
        repeat = node.op_type == "DequantizeLinear" or constant
        if repeat and node.domain in ("", "ai.onnx", "com.microsoft") and len(node.output) == 1:
            copied[node.output[0]] = node
            constants.update(node.output if constant else ())
        else:
            main.append(node)
    needs = tuple(frozenset(root for name in Graph.reads(node) for root in _roots(copied, name)) for node in main)
    return Sequence(tuple(main), copied, needs, frozenset(graph.weights), graph.inputs, graph.outputs)


def _roots(copied: dict[str, onnx.NodeProto], name: str) -> set[str]:
    node = copied.get(name)
    return {name} if node is None else set().union(*(_roots(copied, source) for source in Graph.reads(node)))
