"""How far the student's outputs are from the teacher's, as a loss: no labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor

from edge_export.graph import Graph, attribute, default_opset
from edge_export.state import KnownFacts
from edge_runtime.bundle.parts import row_parts
from edge_runtime.bundle.postprocess_spec import Classify, Segment

__all__ = ["DistillLoss"]

_PASS_ON = frozenset({"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout"})
_LEAST = 1e-7


class DistillLoss:
    """Sums over the outputs:

    - class scores (logits of a classifier or segmenter, or the output of a Softmax): Kullback-Leibler divergence from
      the teacher's distribution, plus the relative squared error of logits;
    - the output of a Sigmoid: squared error of its logits, relative to their variance;
    - everything else: relative squared error, per part that means one thing (a detector's boxes and scores apart, as
      in edge_export.quant.noise).

    Relative is to the teacher's mean square over `answers`, some of its outputs: an image on which there is nothing to
    see counts no more than it does in the signal-to-noise ratio.
    """

    def __init__(
        self, reference: onnx.ModelProto, facts: KnownFacts, answers: Iterable[Mapping[str, Tensor]] = ()
    ) -> None:
        self._facts = facts
        self._graph = Graph(reference)
        self._opset = default_opset(reference)
        squares: dict[str, list[float]] = {}
        for answer in answers:
            for name, expected in _floats(answer):
                for part, values, _ in self._parts(name, expected, expected):
                    squares.setdefault(part, []).append(float(values.square().mean()))
        self._power = {part: sum(found) / len(found) for part, found in squares.items()}

    def __call__(self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor]) -> Tensor:
        """Return the loss, a scalar: its mean over the batch."""
        terms = []
        for name, expected in _floats(teacher):
            divergence = self._divergence(name, expected, student[name])
            terms += [divergence] if divergence is not None else []
            for part, a, b in self._parts(name, expected, student[name]):
                power = self._power.get(part) or float(a.square().mean())
                terms.append((b - a).square().mean() / max(power, _LEAST**2))
        return torch.stack(terms).sum() if terms else torch.zeros(())

    def _divergence(self, name: str, expected: Tensor, found: Tensor) -> Tensor | None:
        """Return the divergence of an output that holds or makes a distribution, None for others."""
        maker = self._maker(name)
        if maker is not None and maker.op_type == "Softmax":
            return _divergence(expected.clamp_min(_LEAST).log(), found.clamp_min(_LEAST).log(), self._axis(maker, name))
        axis = self._logit_axis(name, expected.ndim)
        return None if axis is None else _divergence(F.log_softmax(expected, axis), F.log_softmax(found, axis), axis)

    def _parts(self, name: str, a: Tensor, b: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        """Return what the squared error of an output is measured on: name, teacher's values, student's values."""
        maker, spec = self._maker(name), self._facts.postprocess
        if maker is not None and maker.op_type == "Softmax":
            return []
        if maker is not None and maker.op_type == "Sigmoid":
            logits = [torch.logit(values, _LEAST) for values in (a, b)]
            middle = logits[0].mean()  # most are far below zero: what counts is how they differ
            return [(f"{name} logits", logits[0] - middle, logits[1] - middle)]
        rows = row_parts(spec, tuple(a.shape))
        if rows is None:
            return [(name, a, b)]
        axis, parts = rows
        indices = ((part, torch.tensor(places, device=a.device)) for part, places in parts.items())
        return [(f"{name} {part}", a.index_select(axis, at), b.index_select(axis, at)) for part, at in indices]

    def _maker(self, name: str) -> onnx.NodeProto | None:
        """Return the node that makes an output, seen through nodes that only pass values on."""
        node = self._graph.producer.get(name)
        while node is not None and node.op_type in _PASS_ON:
            node = self._graph.producer.get(node.input[0])
        return node

    def _axis(self, softmax: onnx.NodeProto, name: str) -> int:
        axis = attribute(softmax, "axis", -1 if self._opset >= 13 else 1)
        return axis if isinstance(axis, int) and name == softmax.output[0] else -1

    def _logit_axis(self, name: str, rank: int) -> int | None:
        spec = self._facts.postprocess
        if isinstance(spec, Classify) and spec.activation == "softmax" and spec.output in ("", name) and rank >= 2:
            return -1 if rank == 2 else 1
        if isinstance(spec, Segment) and spec.activation == "softmax" and spec.output in ("", name) and rank == 4:
            return 1 if spec.axis == "channels-first" else -1
        return None


def _floats(answer: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    return [(name, values) for name, values in answer.items() if values.is_floating_point()]


def _divergence(expected: Tensor, found: Tensor, axis: int) -> Tensor:
    """Mean over the samples (and places) of sum p (log p - log q) along `axis`."""
    return (expected.exp() * (expected - found)).sum(axis).mean()
