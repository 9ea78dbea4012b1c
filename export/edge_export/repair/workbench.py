"""The draft's graph with its weights in one file on disk: variants of it are small, and sessions read that file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edge_export.draft import Draft
from edge_export.graph import Graph, copy_without_weights
from edge_export.ort import expose, open_session
from edge_export.quant.qdq import WeightCache, to_qdq
from edge_export.quant.select import Compute, TensorPlan, compute_nodes, plan_tensors

__all__ = ["Workbench"]


class _Weights(Mapping[str, NDArray[np.generic]]):
    """Initializers by name, read when they are asked for: copies of all of them would be as large as the model."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self._graph.array(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph.weights)

    def __len__(self) -> int:
        return len(self._graph.weights)


class Workbench:
    """What the repairs share: the graph, its compute nodes, those that can be int8, and their int8 form.

    Use it as a context manager: the folder goes when it ends.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.graph = Graph(draft.model)
        self.candidates = compute_nodes(self.graph)
        self.able = [item for item in self.candidates if not item.refusal]
        self.cache = WeightCache(_Weights(self.graph), draft.rounded, draft.shifts)
        self._folder = tempfile.TemporaryDirectory(prefix="edgeline-repair-")
        self.folder = Path(self._folder.name)
        self.slim = copy_without_weights(draft.model, self.folder, "weights.bin")

    def __enter__(self) -> Workbench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def plan(self, int8: Sequence[Compute] | None = None) -> TensorPlan:
        """Return the tensors that are quantized when `int8` (default: every node that can) are int8."""
        return plan_tensors(self.graph, {item.name for item in (self.able if int8 is None else int8)}, self.candidates)

    def quantized(self, int8: Sequence[Compute]) -> onnx.ModelProto:
        """Return the small QDQ graph in which `int8` compute in int8."""
        return to_qdq(self.slim, self.plan(int8), self.draft.params or {}, list(int8), (), self.cache)

    def stored(self, items: Sequence[Compute]) -> onnx.ModelProto:
        """Return the small graph in which everything computes in floats, `items` from int8 weights."""
        return to_qdq(self.slim, self.plan(()), self.draft.params or {}, [], (), self.cache, items)

    def open(
        self, model: onnx.ModelProto, outputs: Sequence[str], optimize: bool = True
    ) -> onnxruntime.InferenceSession:
        """Open a small graph of this bench with `outputs` exposed."""
        path = self.folder / "variant.onnx"
        path.write_bytes(expose(model, outputs).SerializeToString())
        return open_session(path, optimize)

    def weight(self, item: Compute) -> NDArray[np.float32]:
        """Return a node's float weights."""
        return np.asarray(self.cache.arrays[item.weight], np.float32)
