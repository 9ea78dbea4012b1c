"""How near int8 is to FP32 as a whole: the figures that say whether a repair gained.

With every able layer int8 some models give nothing (a detector's head breaks), and no repair shows. So a sample's
figure is the mean of two: its signal to noise ratio with all layers int8, and the mean of those with one run of layers
int8 at a time. Ratios are clipped to 0..60 dB: below it says nothing, above it nobody sees it. Each is the mean over
the outputs' parts, taken before a final Softmax or Sigmoid, which hide most errors and blow up a few. Two states are
compared sample by sample: how samples differ from each other is larger than what a repair gains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_export.graph import Graph
from edge_export.quant.noise import NoiseMeter, decibels
from edge_export.quant.workbench import Workbench
from edge_export.run import run
from edge_export.state import Draft, Feeds, Mix, Sqnr
from edge_runtime.bundle.postprocess_spec import Raw

__all__ = ["SAMPLES", "sqnr_of", "telling_outputs", "weights_sqnr"]

SAMPLES = 16
RUNS = 2  # into which the layers are parted, in graph order
HELD_BYTES = 32 << 20  # of samples and their float answers
_CEILING = 60.0
_SHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity"})
_SQUASHING = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})


def telling_outputs(graph: Graph) -> list[str]:
    """Return the graph's float outputs, each before its final Softmax or Sigmoid, each once."""
    found = []
    for output in graph.outputs:
        name = output
        while (node := graph.producer.get(name)) is not None and node.op_type in _SHAPING:
            name = node.input[0]
        squashed = node is not None and node.op_type in _SQUASHING and node.input[0] not in graph.weights
        found.append(node.input[0] if squashed and node is not None else output)
    return list(dict.fromkeys(found))


def sqnr_of(draft: Draft) -> Sqnr:
    """Measure a draft on held-back samples with what it has so far: ranges, rounded weights, shifts."""
    postprocess = draft.facts.postprocess or Raw()
    with Workbench(draft) as bench:
        names = telling_outputs(bench.graph)
        pairs = _expected(draft, bench, names)
        parts = np.array_split(np.arange(len(bench.able)), min(RUNS, len(bench.able)))
        levels: list[list[float]] = []
        worst = 0.0
        for chosen in [np.arange(len(bench.able)), *parts]:
            mix = Mix.of("int8", (bench.able[int(i)].name for i in chosen))
            session = bench.open(bench.model(mix), names)
            meter, found = NoiseMeter(postprocess), []
            for feed, expected in pairs:
                answer, alone = run(session, feed), NoiseMeter(postprocess)
                meter.see(expected, answer)
                alone.see(expected, answer)
                found.append(_level(alone))
            worst = decibels(meter.worst) if not levels else worst
            levels.append(found)
    mean = 0.5 * np.array(levels[0]) + 0.5 * np.mean(levels[1:], axis=0)
    return Sqnr(tuple(float(level) for level in mean), worst)


def weights_sqnr(draft: Draft) -> Sqnr:
    """Measure a draft on held-back samples with the weights of every able layer int8 and all arithmetic float: what is
    said of weights alone holds for layers that compute in integers and for those that do not.
    """
    postprocess = draft.facts.postprocess or Raw()
    with Workbench(draft) as bench:
        names = telling_outputs(bench.graph)
        session = bench.open(bench.model(bench.all_able("int8-weights")), names)
        meter, levels = NoiseMeter(postprocess), []
        for feed, expected in _expected(draft, bench, names):
            answer, alone = run(session, feed), NoiseMeter(postprocess)
            meter.see(expected, answer)
            alone.see(expected, answer)
            levels.append(_level(alone))
    return Sqnr(tuple(levels), decibels(meter.worst))


def _expected(draft: Draft, bench: Workbench, names: Sequence[str]) -> list[tuple[Feeds, Feeds]]:
    """Return held-back samples with their float answers, as many as memory allows."""
    session = bench.open(bench.slim, names)
    found: list[tuple[Feeds, Feeds]] = []
    room = HELD_BYTES
    for feed in draft.held_out(SAMPLES):
        answer = run(session, feed)
        room -= sum(array.nbytes for array in (*feed.values(), *answer.values()))
        found.append((feed, answer))
        if room <= 0:
            break
    return found


def _level(meter: NoiseMeter) -> float:
    """Return the mean over the parts of one sample's outputs, in dB, clipped."""
    levels = [min(max(decibels(ratio), 0.0), _CEILING) for ratio in meter.ratios().values()]
    return float(np.mean(levels)) if levels else 0.0
