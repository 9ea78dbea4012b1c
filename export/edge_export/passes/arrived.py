"""Check a model that arrived quantized: its answers against those of the same weights in float.

Its scales are kept whatever they are; but where they throw the model's answers away the user is told, with the tensor
that loses most. The model is called badly calibrated when

- a part of its outputs is below 10 dB of its dequantized form: noise is then a third of the signal (`verify` calls that
  ruined). Models that work measure 14 dB and more (six published ones: 14 to 34 dB, on images of other sets too);
- or it is 95 % sure that more than one first class in ten changed. Exporters that are trusted keep 0.95 and more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.evaluate.data.calibration import RandomCalibration, SmoothImages
from edge_export.evaluate.metrics.wilson import highest_share
from edge_export.graph import Graph
from edge_export.graph.outside import tensor_array
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.dequantize import Dequantized, Quantizer, dequantize
from edge_export.quant.noise import NoiseMeter, decibels
from edge_export.run import expose, open_session, run
from edge_export.state import Draft, Feeds, Progress
from edge_runtime.bundle.manifest import Accuracy
from edge_runtime.bundle.postprocess_spec import Classify, Raw

__all__ = ["LEAST_AGREEMENT", "LEAST_DB", "SPARSE_SHARE", "check_arrived"]

LEAST_DB = 10.0
LEAST_AGREEMENT = 0.9
SAMPLES = 64
SPARSE_SHARE = 0.3
_AGAINST = "against its own weights in float"


def check_arrived(draft: Draft, progress: Progress) -> Draft:
    """Add what a quantized model loses against its own weights in float to `accuracy`, and a note or a warning."""
    if not arrived_quantized(draft.reference):
        return draft
    draft = replace(draft, notes=(*draft.notes, *_sparse(draft.reference)))
    if isinstance(draft.calibration, (RandomCalibration, SmoothImages)):
        return _unjudged(draft, "there are no real samples; give some with --calibrate")
    dequantized, reason = dequantize(draft.reference)
    if dequantized is None:
        return _unjudged(draft, reason)
    if not dequantized.quantizers:
        return _unjudged(draft, "its activations are rounded by the range of each input, none was calibrated")
    comparison = _compare(draft, dequantized, progress)
    levels = {part: decibels(ratio) for part, ratio in comparison.meter.ratios().items()}
    data = f"{draft.calibration.description} ({comparison.count} compared)"
    figures = [Accuracy(f"sqnr_db {part} {_AGAINST}", data, None, round(db, 2)) for part, db in levels.items()]
    if comparison.same:
        share = round(float(np.mean(comparison.same)), 4)
        figures.append(Accuracy(f"agreement {_AGAINST}", data, None, share))
    draft = replace(draft, accuracy=(*draft.accuracy, *figures))
    found = ", ".join(
        [f"{part!r} at {db:.1f} dB" for part, db in levels.items()]
        + ([f"{np.mean(comparison.same):.1%} the same first class"] if comparison.same else [])
    )
    found = found or "no output of floats"
    if not _is_bad(levels, comparison.same):
        return replace(draft, notes=(*draft.notes, f"arrived quantized, {_AGAINST}: {found} ({data})"))
    warning = (
        f"arrived badly calibrated, {_AGAINST}: {found} ({data}); {comparison.culprit()}; export again from the float "
        "model with edge-export --calibrate"
    )
    return replace(draft, warnings=(*draft.warnings, warning))


def _unjudged(draft: Draft, reason: str) -> Draft:
    return replace(draft, notes=(*draft.notes, f"arrived quantized, how well could not be judged: {reason}"))


def _is_bad(levels: Mapping[str, float], same: list[bool]) -> bool:
    return min(levels.values(), default=math.inf) < LEAST_DB or highest_share(sum(same), len(same)) < LEAST_AGREEMENT


@dataclass
class _Loss:
    """What one quantizer does to the dequantized model's exact values."""

    signal: float = 0.0
    noise: float = 0.0
    clipped: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def see(self, quantizer: Quantizer, values: NDArray[np.generic]) -> None:
        """Add one sample's values."""
        exact = values.astype(np.float64)
        if not exact.size or not np.isfinite(exact).all():
            return
        self.signal += float(np.square(exact).sum())
        self.noise += float(np.square(quantizer.rounded(exact) - exact).sum())
        self.clipped += float(np.square(np.clip(exact, quantizer.low, quantizer.high) - exact).sum())
        self.low, self.high = min(self.low, float(exact.min())), max(self.high, float(exact.max()))

    @property
    def ratio(self) -> float:
        """Noise / signal."""
        return self.noise / self.signal if self.signal else 0.0


@dataclass(frozen=True)
class _Comparison:
    """Both models' answers side by side over `count` samples; `same`: the same first class, sample by sample."""

    meter: NoiseMeter
    same: list[bool]
    losses: list[tuple[Quantizer, _Loss]]
    count: int

    def culprit(self) -> str:
        """Name the tensor whose quantizer alone loses most, and how."""
        quantizer, loss = max(self.losses, key=lambda pair: pair[1].ratio)
        own = f"{quantizer.low:.3g}..{quantizer.high:.3g}"
        real = f"{loss.low:.3g}..{loss.high:.3g}"
        if loss.clipped > 0.5 * loss.noise:
            how = f"its range {own} clips values that reach {real}"
        else:
            how = f"its range {own} is too wide for values {real}, in steps of {quantizer.scale:.3g}"
        return f"worst is tensor {quantizer.tensor!r}, {max(0.0, decibels(loss.ratio)):.1f} dB by itself: {how}"


def _compare(draft: Draft, dequantized: Dequantized, progress: Progress) -> _Comparison:
    names = list(Graph(draft.reference).outputs)
    # An input is no node's output; its values are the sample's.
    given = {value.name for value in dequantized.model.graph.input}
    inner = [quantizer.value for quantizer in dequantized.quantizers if quantizer.value not in given]
    exact = open_session(expose(dequantized.model, dict.fromkeys([*names, *inner])))
    model = open_session(draft.reference)
    comparison = _Comparison(
        NoiseMeter(draft.facts.postprocess or Raw()),
        [],
        [(quantizer, _Loss()) for quantizer in dequantized.quantizers],
        0,
    )
    count = min(SAMPLES, len(draft.calibration))
    with progress.step("check its calibration", count) as advance:
        for sample in draft.samples(count):
            values, answer = {**sample, **run(exact, sample)}, _decoded(run(model, sample), dequantized)
            expected = {name: values[name] for name in names}
            comparison.meter.see(expected, answer)
            if (classes := _scores(draft, names)) is not None:
                comparison.same.append(_first(expected[classes]) == _first(answer[classes]))
            for quantizer, loss in comparison.losses:
                loss.see(quantizer, values[quantizer.value])
            advance()
    return replace(comparison, count=count)


def _scores(draft: Draft, names: list[str]) -> str | None:
    """Return the output that holds one score per class."""
    spec = draft.facts.postprocess
    return (spec.output or names[0]) if isinstance(spec, Classify) else None


def _first(scores: NDArray[np.generic]) -> int:
    return int(np.argmax(scores.reshape(-1)))


def _decoded(answer: Feeds, dequantized: Dequantized) -> Feeds:
    """Return outputs that are integers as the floats that they stand for."""
    decoded = dict(answer)
    for name, (scale, zero) in dequantized.coded.items():
        decoded[name] = ((answer[name].astype(np.float32) - np.float32(zero)) * np.float32(scale)).astype(np.float32)
    return decoded


def _sparse(model: onnx.ModelProto) -> tuple[str, ...]:
    """Say so when many of the quantized weights are zeros: pruned, or too small for their scale."""
    graph = Graph(model)
    zeros = total = 0
    for name, weight in graph.weights.items():
        if weight.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) and len(weight.dims) > 1:
            values = tensor_array(weight)
            zeros += values.size - np.count_nonzero(values.astype(np.int16) - _middle(graph, name))
            total += values.size
    share = zeros / total if total else 0.0
    return (f"{share:.0%} of its integer weights are zeros",) if share > SPARSE_SHARE else ()


def _middle(graph: Graph, name: str) -> int:
    """Return the integer that stands for 0 in a weight: that of its reader's zero point, where it is a single one."""
    for node in graph.readers.get(name, []):
        inputs = list(node.input)
        place = inputs.index(name)
        # DequantizeLinear (x, scale, zero) and the triples of QLinear operators keep the same order.
        zero = inputs[place + 2] if place + 2 < len(inputs) else ""
        if zero in graph.weights and (values := graph.array(zero)).size == 1 and values.dtype.itemsize == 1:
            return int(values.reshape(())[()])
    return 0
