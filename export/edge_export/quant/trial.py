"""Try a precision mix on real samples: the graph is varied, the weights stay in one file on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

import onnx

from edge_export.draft import Draft, Feeds
from edge_export.graph import Arrays, Graph, copy_without_weights
from edge_export.ort import open_session, run, run_each
from edge_export.outside import is_heavy
from edge_export.quant.noise import NoiseMeter
from edge_export.quant.qdq import WeightCache, to_qdq
from edge_export.quant.ranges import QuantParams
from edge_export.quant.select import Compute, compute_nodes, plan_tensors
from edge_runtime.manifest import Raw

__all__ = ["Trial"]


class Trial:
    """Holds the FP32 answers to a few samples and measures how far a mix of precisions is from them."""

    def __init__(self, draft: Draft, samples: int) -> None:
        self.graph = Graph(draft.model)
        self.candidates = compute_nodes(self.graph)
        self.able = [item for item in self.candidates if not item.refusal]
        self.cache = WeightCache(Arrays(self.graph, _float_weights(self.graph)), draft.rounded, draft.shifts)
        self.params: dict[str, QuantParams] = draft.params or {}
        self._postprocess = draft.facts.postprocess or Raw()
        self._folder = tempfile.TemporaryDirectory(prefix="edgeline-trial-")
        self.slim = copy_without_weights(draft.model, Path(self._folder.name), "weights.bin")
        self.samples: list[Feeds] = list(draft.held(samples))
        self.heavy = is_heavy(draft.model)
        self._expected = run_each(draft.reference, self.samples)

    def __enter__(self) -> Trial:
        return self

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
        """Return the small graph of a mix; its unchanged weights lie in the trial's folder."""
        plan = plan_tensors(self.graph, {item.name for item in int8}, self.candidates, barred)
        return to_qdq(self.slim, plan, self.params, list(int8), half, self.cache, stored, int4)

    def write(self, model: onnx.ModelProto, name: str = "trial") -> Path:
        """Write a graph that `model` made beside the weights that it reads, and return its path."""
        path = Path(self._folder.name) / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    def noise(
        self,
        int8: Sequence[Compute],
        half: Collection[str] = (),
        every: int = 1,
        stored: Collection[Compute] = (),
        barred: Collection[str] = (),
        int4: Collection[Compute] = (),
    ) -> dict[str, float]:
        """Return noise / signal by part of the outputs for a mix, over each `every`-th sample of the trial."""
        session = open_session(self.write(self.model(int8, half, stored, barred, int4)), lean=self.heavy)
        meter = NoiseMeter(self._postprocess)
        for sample, expected in zip(self.samples[::every], self._expected[::every], strict=True):
            meter.see(expected, run(session, sample))
        return meter.ratios()


def _float_weights(graph: Graph) -> list[str]:
    return [name for name, weight in graph.weights.items() if weight.data_type == onnx.TensorProto.FLOAT]
