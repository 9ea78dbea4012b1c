"""Measure the noise that a mix of precisions makes on real samples."""

from __future__ import annotations

from edge_export.graph.outside import is_heavy
from edge_export.quant.noise import NoiseMeter
from edge_export.quant.workbench import Workbench
from edge_export.run import open_session, run, run_each
from edge_export.state import Draft, Feeds, Mix
from edge_runtime.bundle.postprocess_spec import Raw

__all__ = ["NoiseBench"]


class NoiseBench(Workbench):
    """Holds the FP32 answers to a few samples and measures how far a mix of precisions is from them."""

    def __init__(self, draft: Draft, samples: int) -> None:
        super().__init__(draft)
        self._postprocess = draft.facts.postprocess or Raw()
        self.samples: list[Feeds] = list(draft.held_out(samples))
        self.heavy = is_heavy(draft.model)
        self._expected = run_each(draft.reference, self.samples)

    def __enter__(self) -> NoiseBench:
        return self

    def noise(self, mix: Mix, every: int = 1) -> dict[str, float]:
        """Return noise / signal by part of the outputs for a mix, over each `every`-th sample."""
        session = open_session(self.write(self.model(mix)), lean=self.heavy)
        meter = NoiseMeter(self._postprocess)
        for sample, expected in zip(self.samples[::every], self._expected[::every], strict=True):
            meter.see(expected, run(session, sample))
        return meter.ratios()

    def worst(self, mix: Mix, every: int = 1) -> float:
        """Return noise / signal of the part that suffers most; 0 where there is no float output."""
        return max(self.noise(mix, every).values(), default=0.0)
