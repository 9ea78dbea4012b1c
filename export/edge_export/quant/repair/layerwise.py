"""LayerwiseRun a quantized graph from compute node to compute node with all samples at once.

A repair of a layer has to see what the repaired layers before it give. So the graph is run in slices, each ending at
a compute node: its output on every sample is looked at, may be replaced, and the next slice reads what was left there.
Values lie in memory up to a budget and in files of the bench's folder beyond it; each is dropped after its last
reader. The slices run unoptimized: DQ -> float kernel -> Q computes what the integer kernels do, on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph import Graph
from edge_export.run import open_session, run
from edge_export.state import Feeds
from edge_runtime.errors import ModelError

__all__ = ["ArrayStore", "LayerwiseRun"]

Array = NDArray[np.generic]


class ArrayStore:
    """Arrays by (name, sample): in memory up to `budget` bytes, beyond it in files `title`-... of `folder`."""

    def __init__(self, folder: Path, budget: int, title: str) -> None:
        self._folder, self._budget, self._title = folder, budget, title
        self._arrays: dict[tuple[str, int], Array] = {}
        self._files: dict[tuple[str, int], Path] = {}
        self._bytes = self._made = 0

    def put(self, name: str, sample: int, array: Array) -> None:
        """Keep an array; one that is there already is replaced."""
        self.drop(name, sample)
        if self._bytes + array.nbytes <= self._budget or array.dtype.hasobject:  # strings have no file form
            self._arrays[name, sample] = array
            self._bytes += array.nbytes
            return
        path = self._folder / f"{self._title}-{self._made}.npy"
        self._made += 1
        np.save(path, array, allow_pickle=False)
        self._files[name, sample] = path

    def get(self, name: str, sample: int) -> Array:
        """Return an array that was put."""
        found = self._arrays.get((name, sample))
        return found if found is not None else np.asarray(np.load(self._files[name, sample], allow_pickle=False))

    def drop(self, name: str, sample: int) -> None:
        """Forget an array, if it is there."""
        array = self._arrays.pop((name, sample), None)
        if array is not None:
            self._bytes -= array.nbytes
        path = self._files.pop((name, sample), None)
        if path is not None:
            path.unlink(missing_ok=True)


class Every(Sequence[Array]):
    """One value of every sample, fetched when it is asked for."""

    def __init__(self, store: ArrayStore, name: str, count: int) -> None:
        self._store, self._name, self._count = store, name, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> list[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | list[Array]:
        """Return one sample's array, or a list of some."""
        if isinstance(index, slice):
            return [self._store.get(self._name, i) for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._store.get(self._name, index)


class LayerwiseRun:
    """Runs the small graph `model` (its weights lie in `folder`) over `samples`, from stop to stop.

    `advance(node)` runs everything up to a node; what is read later is then in `values`, by (name, sample), and may
    be replaced there. Nodes that read only weights belong to whoever reads them.
    """

    def __init__(self, model: onnx.ModelProto, folder: Path, samples: Sequence[Feeds], budget: int, title: str) -> None:
        self._model, self._folder = model, folder
        self._graph = Graph(model)
        reads = [(node, self._graph.activations(node)) for node in model.graph.node]
        self._constants = {name: node for node, names in reads if not names for name in node.output}
        walked = [(node, [name for name in names if name not in self._constants]) for node, names in reads if names]
        self._nodes = [node for node, _ in walked]
        self._reads = [names for _, names in walked]
        self._last = {name: place for place, names in enumerate(self._reads) for name in names}
        self._place = 0
        self.count = len(samples)
        self.values = ArrayStore(folder, budget, title)
        for index, sample in enumerate(samples):
            for name, array in sample.items():
                if name in self._last:
                    self.values.put(name, index, array)

    def advance(self, node: str, behind: bool = True) -> None:
        """Run everything in front of `node`, and with `behind` the node itself. Raises OrtError."""
        start = self._place
        stops = [place for place in range(start, len(self._nodes)) if self._nodes[place].name == node]
        if not stops:
            raise ModelError(f"node {node!r} is not ahead in the quantized graph; the model is odd, use --effort fast")
        stop = stops[0] + (1 if behind else 0)
        made = dict.fromkeys(name for part in self._nodes[start:stop] for name in part.output if name)
        inputs = dict.fromkeys(name for names in self._reads[start:stop] for name in names if name not in made)
        # what the stop itself makes is looked at, even where nothing reads it
        shown = self._nodes[stop - 1].output if behind else ()
        outputs = [name for name in made if self._last.get(name, -1) >= stop or name in shown]
        self._place = stop
        if outputs:
            self._run(start, stop, list(inputs), outputs)
        for name in inputs:
            if self._last[name] < stop:
                for index in range(self.count):
                    self.values.drop(name, index)

    def output_of(self, node: str) -> str:
        """Return the name of a node's first output in this graph."""
        return next(str(one.output[0]) for one in self._nodes if one.name == node)

    def every(self, name: str) -> Every:
        """Return a value of all samples, in order."""
        return Every(self.values, name, self.count)

    def input_of(self, node: str) -> str:
        """Return the name of a node's first input in this graph."""
        return next(str(one.input[0]) for one in self._nodes if one.name == node)

    def _run(self, start: int, stop: int, inputs: list[str], outputs: list[str]) -> None:
        path = self._folder / "slice.onnx"
        path.write_bytes(self._slice(start, stop, inputs, outputs).SerializeToString())
        session = open_session(path, optimize=False, keep_arena=False, pack=False)
        for index in range(self.count):
            found = run(session, {name: self.values.get(name, index) for name in inputs})
            for name, array in found.items():
                if not isinstance(array, np.ndarray):
                    raise ModelError(f"value {name!r} is no tensor: it cannot be held between slices of the graph")
                self.values.put(name, index, array)

    def _slice(self, start: int, stop: int, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
        model = onnx.ModelProto(ir_version=self._model.ir_version)
        model.opset_import.extend(self._model.opset_import)
        model.functions.extend(self._model.functions)
        part = model.graph
        part.name = "slice"
        walked = self._nodes[start:stop]
        read = list(dict.fromkeys(name for node in walked for name in Graph.reads(node)))
        front = [self._constants[name] for name in read if name in self._constants]
        weights = dict.fromkeys(name for node in (*front, *walked) for name in Graph.reads(node))
        part.node.extend([*front, *walked])
        part.initializer.extend(self._graph.weights[name] for name in weights if name in self._graph.weights)
        for name in inputs:
            value = self.values.get(name, 0)
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
            part.input.append(onnx.helper.make_tensor_value_info(name, kind, [None] * value.ndim))
        part.output.extend(onnx.helper.make_value_info(name, onnx.TypeProto()) for name in outputs)
        return model
