"""The bundle in the making: what each pass reads and what it adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.graph.outside import WeightFolder
from edge_export.state.figures import Comparison, Flips
from edge_export.state.mix import Mix
from edge_export.state.options import ExportOptions
from edge_export.state.quantized import QuantizedWeight, QuantParams, Sqnr
from edge_export.state.source import KnownFacts, SourceModel
from edge_export.state.tensors import CalibrationSet, Feeds, NoSamples, ValueFact
from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.manifest import Accuracy, Latency, Manifest, NodePrecision, Stage
from edge_runtime.bundle.postprocess_spec import Raw

__all__ = ["Cut", "Draft", "Golden", "Progress"]


@dataclass(frozen=True)
class Cut:
    """One block before it is written: its nodes and the values that enter and leave it."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Golden:
    """Real samples and the bundle's own answers to them (arrays as golden.npz stores them)."""

    arrays: dict[str, NDArray[np.generic]]


class Progress(Protocol):
    """Where long passes report how far they are; `step` wraps an iteration of known length."""

    def step(self, title: str, total: int) -> AbstractContextManager[Callable[[], None]]: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Draft:
    """State between two passes. `reference` is the clean FP32 graph that every answer is compared with.

    `holdout` gave no range: precision is chosen, and each repair judged, on it. `mix_db` is the outputs'
    signal-to-noise ratio with every node in its chosen precision, None where nothing was quantized here. `notes` say
    what was chosen, `warnings` what makes the bundle doubtful. `blind`: FP32 finds nothing in
    any picture that there is.
    """

    options: ExportOptions
    source: SourceModel = field(default_factory=SourceModel)
    facts: KnownFacts = field(default_factory=KnownFacts)
    model: onnx.ModelProto = field(default_factory=onnx.ModelProto)
    reference: onnx.ModelProto = field(default_factory=onnx.ModelProto)
    calibration: CalibrationSet = field(default_factory=NoSamples)
    holdout: CalibrationSet = field(default_factory=NoSamples)
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    params: dict[str, QuantParams] | None = None  # of every tensor that could be int8; None: not calibrated
    rounded: dict[str, QuantizedWeight] = field(default_factory=dict)  # by node: int8 weights not rounded to nearest
    shifts: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # by node: added to its bias where it is int8
    mix: Mix = field(default_factory=Mix)  # how `quantize` writes the graph
    precision: tuple[NodePrecision, ...] = ()  # the same for reports, with reasons
    mix_db: float | None = None
    cuts: tuple[Cut, ...] = ()
    values: dict[str, ValueFact] = field(default_factory=dict)
    golden: Golden | None = None
    accuracy: tuple[Accuracy, ...] = ()
    comparison: Comparison | None = None
    flips: Flips | None = None  # None: no images were compared, or none could be
    stages: tuple[Stage, ...] = ()
    sqnr: Sqnr | None = None  # of all int8 as repaired so far
    latency: Latency | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    blind: bool = False
    manifest: Manifest | None = None  # of the bundle as it was written
    weights: WeightFolder | None = None  # where the big weights of the graphs lie; None: inside the graphs

    def model_facts(self) -> ModelFacts:
        """Return what is true of the model as the device will hear it: what is not known has its default."""
        known = self.facts
        return ModelFacts(
            inputs=self.inputs,
            outputs=self.outputs,
            preprocess=known.preprocess,
            postprocess=known.postprocess or Raw(),
            labels=known.labels or (),
            thresholds=known.thresholds or Thresholds(),
            verdict=known.verdict or VerdictRule(),
        )

    def samples(self, count: int) -> Iterator[Feeds]:
        """Yield at most `count` calibration samples, spread evenly over the set."""
        return _spread(self.calibration, count)

    def held_out(self, count: int) -> Iterator[Feeds]:
        """Yield at most `count` samples that gave no range, spread evenly."""
        return _spread(self.holdout, count)


def _spread(samples: CalibrationSet, count: int) -> Iterator[Feeds]:
    step = max(1, len(samples) // max(1, count))
    given = 0
    for index, sample in enumerate(samples):
        if given >= count:
            return
        if index % step == 0:
            given += 1
            yield sample
