"""The graph as a sequence that can be cut anywhere: a main line of nodes, and copies that go with their readers.

A DequantizeLinear or a Cast of a constant costs nothing to repeat, so it is not on the main line: every block that
reads it gets a copy. What crosses a cut is then the int8 tensor, a quarter of the bytes, and each block holds the
whole DQ -> op -> Q group that onnxruntime fuses.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from edge_export.draft import Cut
from edge_export.graph import Graph

__all__ = ["Sequence", "make_sequence"]


@dataclass(frozen=True)
class Sequence:
    """`main` in topological order; `copied` are the repeatable nodes by the value they make.

    `needs[i]` are the main-line values, graph inputs and initializers that main node i reads, copies included.
    `outputs` maps each graph output to the main-line value (or input) that it comes from.
    """

    main: tuple[onnx.NodeProto, ...]
    copied: dict[str, onnx.NodeProto]
    needs: tuple[frozenset[str], ...]
    weights: frozenset[str]
    graph_inputs: tuple[str, ...]
    graph_outputs: tuple[str, ...]

    def copies_for(self, name: str) -> list[onnx.NodeProto]:
        """Return the repeatable nodes that make `name` from the main line, in order; [] when it is on it."""
        node = self.copied.get(name)
        if node is None:
            return []
        before = [made for source in node.input if source for made in self.copies_for(source)]
        return [*before, node]

    def roots(self, name: str) -> set[str]:
        """Return the main-line values, inputs and initializers behind `name`."""
        node = self.copied.get(name)
        return {name} if node is None else set().union(*(self.roots(source) for source in node.input if source))

    def block(self, start: int, stop: int) -> Cut:
        """Return the block of main nodes start..stop-1 with what enters and leaves it."""
        nodes: list[onnx.NodeProto] = []
        have: set[int] = set()
        made = {name for node in self.main[start:stop] for name in node.output if name}

        def add(items: list[onnx.NodeProto]) -> None:
            nodes.extend(item for item in items if id(item) not in have)
            have.update(id(item) for item in items)

        for node in self.main[start:stop]:
            for name in Graph.reads(node):
                add(self.copies_for(name))
            add([node])
        needed = {name for need in self.needs[start:stop] for name in need}
        last = stop == len(self.main)
        outputs: list[str] = []
        for name in self.graph_outputs:
            roots = self.roots(name) - self.weights
            home = name in made or (name in self.copied and bool(roots) and roots <= made)
            # An output made of constants or inputs alone belongs to no block in particular: the last one gives it.
            stray = last and name in self.copied and (not roots or not roots <= self._all_made)
            if home or stray:
                add(self.copies_for(name))
                needed |= self.roots(name)
                outputs.append(name)
        later = {name for need in self.needs[stop:] for name in need}
        outputs += sorted((made & later) - set(outputs), key=self._order)
        inputs = sorted(needed - made - self.weights, key=self._order)
        return Cut(tuple(nodes), tuple(inputs), tuple(outputs))

    @property
    def _all_made(self) -> set[str]:
        return {name for node in self.main for name in node.output if name}

    def _order(self, name: str) -> tuple[int, str]:
        for i, node in enumerate(self.main):
            if name in node.output:
                return i, name
        return -1, name

    def crossing(self, position: int) -> set[str]:
        """Return the main-line values that a cut before main node `position` makes cross from block to block."""
        made = {name for node in self.main[:position] for name in node.output if name}
        return made & {name for need in self.needs[position:] for name in need}


def make_sequence(model: onnx.ModelProto) -> Sequence:
    """Sort a model's top-level nodes into the main line and what is copied to its readers."""
    graph = Graph(model)
    copied: dict[str, onnx.NodeProto] = {}
    main = []
    for node in model.graph.node:
        constant = all(name in graph.weights or name in copied for name in node.input if name)
        repeat = node.op_type == "DequantizeLinear" or (node.op_type == "Cast" and constant)
        if repeat and node.domain in ("", "ai.onnx", "com.microsoft") and len(node.output) == 1:
            copied[node.output[0]] = node
        else:
            main.append(node)
    sequence = Sequence(tuple(main), copied, (), frozenset(graph.weights), graph.inputs, graph.outputs)
    needs = tuple(frozenset(root for name in Graph.reads(node) for root in sequence.roots(name)) for node in main)
    return Sequence(tuple(main), copied, needs, sequence.weights, graph.inputs, graph.outputs)
