"""Variants of a draft's graph: small graphs in one folder, whose unchanged weights lie there once."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

import onnx

from edge_export.graph import Arrays, Graph, copy_without_weights
from edge_export.quant.qdq import WeightCache, to_qdq
from edge_export.quant.select import Compute, compute_nodes, plan_tensors
from edge_export.state import Draft, QuantParams

__all__ = ["Variants"]


class Variants:
    """The graph, its compute nodes, those that can be int8 (`able`), and any mix of precisions of them.

    Use it as a context manager: the folder goes when it ends.
    """

    def __init__(self, draft: Draft) -> None:
        self.graph = Graph(draft.model)
        self.candidates = compute_nodes(self.graph)
        self.able = [item for item in self.candidates if not item.refusal]
        self.cache = WeightCache(Arrays(self.graph, _float_weights(self.graph)), draft.rounded, draft.shifts)
        self.params: dict[str, QuantParams] = draft.params or {}
        self._folder = tempfile.TemporaryDirectory(prefix="edgeline-variants-")
        self.folder = Path(self._folder.name)
        self.slim = copy_without_weights(draft.model, self.folder, "weights.bin")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def model(
        self,
        int8: Sequence[Compute],
        half: Collection[str] = (),
        stored: Collection[Compute] = (),
        barred: Collection[str] = (),
        int4: Collection[Compute] = (),
    ) -> onnx.ModelProto:
        """Return the small graph of a mix; its unchanged weights lie in the folder."""
        plan = plan_tensors(self.graph, {item.name for item in int8}, self.candidates, barred)
        return to_qdq(self.slim, plan, self.params, list(int8), half, self.cache, stored, int4)

    def write(self, model: onnx.ModelProto, name: str = "variant") -> Path:
        """Write a graph that `model` made beside the weights that it reads, and return its path."""
        path = self.folder / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path


def _float_weights(graph: Graph) -> list[str]:
    return [name for name, weight in graph.weights.items() if weight.data_type == onnx.TensorProto.FLOAT]
