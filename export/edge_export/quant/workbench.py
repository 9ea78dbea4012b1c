"""Variants of a draft's graph: small graphs in one folder, whose unchanged weights lie there once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import onnx
import onnxruntime

from edge_export.graph import Arrays, Graph, copy_without_weights
from edge_export.quant.cache import WeightCache
from edge_export.quant.qdq import plan_of, to_qdq
from edge_export.quant.select import TensorPlan, compute_nodes
from edge_export.run import expose, open_session
from edge_export.state import Draft, Mix, QuantParams
from edge_runtime.bundle.manifest import Precision

__all__ = ["Workbench"]


class Workbench:
    """The graph, its nodes with weights (`candidates`), those that can be int8 (`able`), and any mix of them.

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

    def __enter__(self) -> Workbench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def all_able(self, precision: Precision) -> Mix:
        """Return the mix in which every node that can be int8 has one precision."""
        return Mix.of(precision, (item.name for item in self.able))

    def plan(self) -> TensorPlan:
        """Return the tensors that are quantized when every node that can be int8 is."""
        return plan_of(self.graph, self.all_able("int8"), self.candidates)

    def model(self, mix: Mix) -> onnx.ModelProto:
        """Return the small graph of a mix; its unchanged weights lie in the folder."""
        plan = plan_of(self.graph, mix, self.candidates)
        return to_qdq(self.slim, mix, plan, self.candidates, self.params, self.cache)

    def write(self, model: onnx.ModelProto, name: str = "variant") -> Path:
        """Write a small graph beside the weights that it reads, and return its path."""
        path = self.folder / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    def open(
        self, model: onnx.ModelProto, outputs: Sequence[str], optimize: bool = True
    ) -> onnxruntime.InferenceSession:
        """Open a small graph with `outputs` exposed."""
        return open_session(self.write(expose(model, outputs)), optimize)


def _float_weights(graph: Graph) -> list[str]:
    return [name for name, weight in graph.weights.items() if weight.data_type == onnx.TensorProto.FLOAT]
