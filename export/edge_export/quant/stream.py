"""Run a float graph over samples with few of its values alive at a time: segment by segment, in topological order.

A session that exposes every tensor of a network holds all of its activations, and keeps a packed copy of all of its
weights. Here the graph is cut where the exposed bytes reach a budget. Each segment is a session of its own that
refers to one weight file on disk; a value is dropped after its last reader ran. Small models are one segment.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_export.graph import Graph, copy_without_weights
from edge_export.graph.alive import alive_behind
from edge_export.run import open_session, run
from edge_export.state import Feeds

__all__ = ["ACTIVATION_BYTES", "OPEN_BYTES", "Segment", "Stream", "cut_segments"]

ACTIVATION_BYTES = 32 << 20  # exposed by one segment
SEGMENT_WEIGHTS = 32 << 20  # weights of one segment: what a session that is opened for one run maps
OPEN_BYTES = 32 << 20  # weights of the segments whose sessions stay open; others are opened anew for each sample

Visit = Callable[[str, NDArray[np.generic]], None]


@dataclass(frozen=True)
class Segment:
    """Consecutive nodes start..stop of the graph, what enters and leaves them, and the values dead behind them."""

    start: int
    stop: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dropped: tuple[str, ...]
    weights: tuple[str, ...]


class Stream:
    """Runs `model` and shows the tensors `wanted` (made inside, or graph inputs) of each sample to a visitor.

    `budget_bytes` bounds what one segment exposes; a segment of one node exposes what that node makes. Sizes are
    inferred from shapes (a free dimension counts as 1). Close it, or use it in a `with`: it holds a temporary folder
    with the weights.
    """

    def __init__(self, model: onnx.ModelProto, wanted: Collection[str], budget_bytes: int = ACTIVATION_BYTES) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgeline-stream-")
        try:
            path = Path(self._folder.name)
            self._slim = copy_without_weights(model, path, "weights.bin")
            graph = Graph(self._slim)
            self._wanted = frozenset(wanted)
            self._outputs = graph.outputs
            types = _tensor_types(self._slim)
            self.segments = cut_segments(graph, self._wanted, types, budget_bytes)
            self._files = [path / f"segment-{index}.onnx" for index in range(len(self.segments))]
            for file, segment in zip(self._files, self.segments, strict=True):
                file.write_bytes(_submodel(self._slim, graph, segment, types).SerializeToString())
            self._sizes = [sum(_weight_bytes(graph.weights[name]) for name in part.weights) for part in self.segments]
        except BaseException:
            self._folder.cleanup()
            raise
        self._open: dict[int, onnxruntime.InferenceSession] = {}

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the sessions and delete the weight file."""
        self._open.clear()
        self._folder.cleanup()

    def run(self, feeds: Feeds, visit: Visit) -> Feeds:
        """Run one sample; `visit` sees each wanted tensor once, in graph order. Returns the graph's outputs.

        Arrays belong to the visitor only while it is called, unless it copies them. Raises OrtError, and whatever
        `visit` raises.
        """
        alive: Feeds = dict(feeds)
        for name in feeds:
            if name in self._wanted:
                visit(name, feeds[name])
        for index, segment in enumerate(self.segments):
            made = run(self._session(index), alive)
            for name in segment.outputs:
                if name in self._wanted:
                    visit(name, made[name])
            alive.update(made)
            del made
            for name in segment.dropped:
                alive.pop(name, None)
        return {name: alive[name] for name in self._outputs if name in alive}  # a weight may be an output

    def run_all(self, samples: Iterable[Feeds], visit: Visit) -> int:
        """Run every sample and return how many there were."""
        count = 0
        for sample in samples:
            self.run(sample, visit)
            count += 1
        return count

    def _session(self, index: int) -> onnxruntime.InferenceSession:
        if index in self._open:
            return self._open[index]
        alone = len(self.segments) == 1
        stays = alone or sum(self._sizes[: index + 1]) <= OPEN_BYTES
        session = open_session(self._files[index], keep_arena=alone, pack=stays)
        if stays:
            self._open[index] = session
        return session


def cut_segments(
    graph: Graph, wanted: Collection[str], types: dict[str, onnx.TypeProto], budget_bytes: int
) -> list[Segment]:
    """Cut the topological order so that each segment exposes at most `budget_bytes` where one node does not alone.

    A cut is made only where every value that crosses it has a known tensor type, and, of the last half of the
    segment, where the fewest bytes cross that are not wanted anyway (these would be exposed only for the cut).
    """
    nodes = list(graph.model.graph.node)
    sizes = {name: _tensor_bytes(kind) for name, kind in types.items()}
    last = _last_readers(graph, nodes)
    exposed = [sum(sizes.get(name, 0) for name in node.output if name in wanted) for node in nodes]
    held = [_own_weights(graph, node) for node in nodes]
    crossing = _crossing_bytes(nodes, last, wanted, sizes)
    cuts, start, activations, weights = [], 0, 0, 0
    for index in range(len(nodes)):
        activations += exposed[index]
        weights += held[index]
        while (activations > budget_bytes or weights > SEGMENT_WEIGHTS) and index > start:
            # a cut behind `place`: its segment is start..place
            places = [place for place in range(start, index) if crossing[place] is not None]
            if not places:
                break
            late = [place for place in places if place >= (start + index) // 2] or places
            best = min(late, key=lambda place: (crossing[place], -place))
            cuts.append(best + 1)
            start = best + 1
            activations = sum(exposed[start : index + 1])
            weights = sum(held[start : index + 1])
    edges = [0, *cuts, len(nodes)] if nodes else []
    return [_segment(graph, nodes, last, wanted, a, b) for a, b in itertools.pairwise(edges)]


def _segment(
    graph: Graph, nodes: Sequence[onnx.NodeProto], last: dict[str, int], wanted: Collection[str], start: int, stop: int
) -> Segment:
    part = nodes[start:stop]
    made = {name for node in part for name in node.output if name}
    read = list(dict.fromkeys(name for node in part for name in graph.reads(node)))
    inputs = tuple(name for name in read if name not in made and name not in graph.weights)
    final = stop == len(nodes)
    outputs = tuple(
        dict.fromkeys(
            name
            for node in part
            for name in node.output
            if name and (name in wanted or name in graph.outputs or last.get(name, -1) >= stop)
        )
    )
    if not outputs and final:  # onnxruntime wants an output; nothing here is asked for
        outputs = tuple(name for name in part[-1].output if name)[:1]
    weights = tuple(name for name in read if name in graph.weights and name not in made)
    passed = dict.fromkeys((*inputs, *outputs))
    dropped = tuple(name for name in passed if last.get(name, -1) < stop and name not in graph.outputs)
    return Segment(start, stop, inputs, outputs, dropped, weights)


def _last_readers(graph: Graph, nodes: Sequence[onnx.NodeProto]) -> dict[str, int]:
    last: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in graph.reads(node):
            last[name] = index
    return last


def _own_weights(graph: Graph, node: onnx.NodeProto) -> int:
    return sum(_weight_bytes(graph.weights[name]) for name in graph.reads(node) if name in graph.weights)


def _crossing_bytes(
    nodes: Sequence[onnx.NodeProto], last: dict[str, int], wanted: Collection[str], sizes: dict[str, int]
) -> list[int | None]:
    """Per place behind a node: bytes of unwanted values that cross it; None where a value has no tensor type."""
    return [
        sum(sizes[name] for name in alive if name not in wanted) if all(name in sizes for name in alive) else None
        for alive in alive_behind(nodes, last)
    ]


def _tensor_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """Types of all values that are known to be tensors."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        inferred = model  # one segment, unless the file itself says the types
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    return {value.name: value.type for value in values if value.type.tensor_type.elem_type}


def _tensor_bytes(kind: onnx.TypeProto) -> int:
    count = 1
    for dim in kind.tensor_type.shape.dim:
        count *= max(1, dim.dim_value)
    return count * _item_bytes(kind.tensor_type.elem_type)


def _weight_bytes(weight: onnx.TensorProto) -> int:
    count = 1
    for dim in weight.dims:
        count *= dim
    return count * _item_bytes(weight.data_type)


def _item_bytes(kind: int) -> int:
    try:
        return int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize)
    except (KeyError, TypeError):
        return 8


def _submodel(
    slim: onnx.ModelProto, graph: Graph, segment: Segment, types: dict[str, onnx.TypeProto]
) -> onnx.ModelProto:
    """Return one segment as a model beside the weight file."""
    model = onnx.ModelProto(ir_version=slim.ir_version)
    model.opset_import.extend(slim.opset_import)
    model.functions.extend(slim.functions)
    part = model.graph
    part.name = "segment"
    part.node.extend(slim.graph.node[segment.start : segment.stop])
    part.initializer.extend(graph.weights[name] for name in segment.weights)
    part.input.extend(onnx.helper.make_value_info(name, types[name]) for name in segment.inputs)
    # onnxruntime infers the types of outputs itself
    part.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in segment.outputs)
    return model
