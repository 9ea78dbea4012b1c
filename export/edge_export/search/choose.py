"""Choose a mix with the effort that is asked for, then hold it against FP32's answers and FP32's time.

fast: everything int8 if that meets the target, else only the weights, else a search over layers after all.
good, best: layers are timed on this machine, tried one by one, and the fastest mix is searched that meets the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge_export.graph import default_opset
from edge_export.quant.noise import decibels
from edge_export.quant.noise_bench import NoiseBench
from edge_export.search.agreement import Agreement, agreement_of
from edge_export.search.latency.micro import measure_edges, measure_units
from edge_export.search.latency.shapes import value_shapes
from edge_export.search.latency.table import LatencyTable, open_table
from edge_export.search.latency.units import Unit, find_units
from edge_export.search.latency.whole import measure_pair
from edge_export.search.problem import SearchSpace
from edge_export.search.search import PRICES, SMALLER, Found, Limits, Searcher
from edge_export.search.sensitivity import Sensitivity, measure_sensitivities
from edge_export.search.targets import target_db
from edge_export.state import Draft, Progress
from edge_runtime.bundle.manifest import Latency

__all__ = ["MIX_SAMPLES", "Chosen", "choose"]

# Samples that a whole mix is measured on, and the step between those that single layers are measured on.
MIX_SAMPLES = {"fast": 4, "good": 16, "best": 16}
LAYER_STEP = 4
# Rounded weights this far above the target leave its noise to the activations.
QUIET_DB = 6.0
# A bundle may take this share of FP32's bytes so that the target is met; for --max-drop it may take any.
MOST_BYTES = 0.29
NODE_BYTES = 400  # of Q, DQ and names round a layer, roughly
# Where answers are lost, the target is raised by so much, so often.
RAISE_DB, RAISES = 3.0, 3
# Integers must save at least so much of FP32's time to be worth their noise.
WORTH = 0.98


@dataclass(frozen=True)
class Chosen:
    """What was chosen, and why.

    `latency` is None where there is no machine to time it on; `times` are microseconds as float and as int8 by node,
    of nodes that were timed.
    """

    found: Found
    note: str
    agreement: Agreement | None = None
    latency: Latency | None = None
    sensitivities: Sequence[Sensitivity] = ()
    times: dict[str, tuple[float, float]] = field(default_factory=dict)


def choose(draft: Draft, bench: NoiseBench, kept: frozenset[str], searched: bool, progress: Progress) -> Chosen:
    """Choose for every node that can be int8; those `kept` stay FP16. `searched` False: all others are int8."""
    at_once = _at_once(draft, bench, Searcher(bench, None, (), kept), searched)
    if at_once is not None and draft.options.effort == "fast":
        return at_once
    space, sensitivities = _look_at_layers(draft, bench, progress)
    if at_once is None:
        at_once = _search(draft, bench, Searcher(bench, space, sensitivities, kept), progress)
    return replace(at_once, sensitivities=sensitivities, times=space.measured_times())


def _target(draft: Draft, effort: str) -> float:
    return target_db(effort, draft.facts.postprocess.task if draft.facts.postprocess else "")


def _at_once(draft: Draft, bench: NoiseBench, searcher: Searcher, searched: bool) -> Chosen | None:
    """Return what needs no look at single layers: what is asked for, and with little effort all int8, or all weights
    int8, if that meets the target.
    """
    limits = Limits(_target(draft, "fast"), 0.0)
    if not searched:
        return _timed(
            draft, bench, searcher, searcher.measured(searcher.all_int8(), limits), None, "as asked for", None
        )
    if draft.options.effort != "fast":
        return None
    for mix in (searcher.all_int8(), searcher.all_float()):
        found = searcher.measured(mix, limits)
        if found.level >= limits.target_db:
            return _timed(draft, bench, searcher, found, None, f"target {limits.target_db:.0f} dB", limits)
    return None


def _look_at_layers(draft: Draft, bench: NoiseBench, progress: Progress) -> tuple[SearchSpace, list[Sensitivity]]:
    """Time every layer (not with little effort: integers are then taken to be faster) and try it alone."""
    units = find_units(bench.graph, bench.candidates)
    names = dict.fromkeys(name for unit in units for name in (*unit.inputs, unit.output))
    shapes = value_shapes(draft.model, bench.slim, bench.samples[0], list(names))
    table = open_table(draft.options.target) if draft.options.effort != "fast" else None
    if table is not None and table.measurable:
        _measure(draft, bench, units, shapes, table, progress)
    space = SearchSpace(bench.graph, units, shapes, table)
    # Where all rounded weights together are well inside the target, none of them need be looked at alone.
    rounding = decibels(bench.worst(bench.all_able("int8-weights"), LAYER_STEP))
    weights = rounding < _target(draft, draft.options.effort) + QUIET_DB
    with progress.step("sensitivity per layer", len(bench.able)) as advance:
        return space, measure_sensitivities(bench, bench.able, LAYER_STEP, weights, advance)


def _measure(
    draft: Draft,
    bench: NoiseBench,
    units: Sequence[Unit],
    shapes: dict[str, tuple[int, ...]],
    table: LatencyTable,
    progress: Progress,
) -> None:
    with progress.step("time layers", len(units)) as advance:
        for unit in units:
            measure_units(bench.graph, [unit], shapes, default_opset(draft.model), table)
            advance()
    measure_edges(table)
    table.save()


def _search(draft: Draft, bench: NoiseBench, searcher: Searcher, progress: Progress) -> Chosen:
    """Search for the fastest mix that is near enough; look nearer where answers to held-back images change."""
    goal = _target(draft, draft.options.effort)
    limits = Limits(goal, _room(bench))
    with progress.step("precision search", 2 + len(PRICES).bit_length()) as advance:
        found = searcher.search(limits, advance)
        agreement = _agreement(draft, bench, found)
        raised = 0
        while agreement is not None and not agreement.meets(draft.options.max_drop) and raised < RAISES:
            raised += 1
            limits = Limits(goal + raised * RAISE_DB, float("inf"))
            nearer = searcher.search(limits, advance)
            if nearer != found:
                found, agreement = nearer, _agreement(draft, bench, nearer)
        smaller = searcher.shrink(found, limits)
        if smaller != found:
            again = _agreement(draft, bench, smaller)
            if again is None or again.meets(draft.options.max_drop):
                found, agreement = smaller, again
        advance()
    note = f"target {limits.target_db:.0f} dB"
    if raised:
        note += f", raised from {goal:.0f} because answers to held-back images changed"
    return _timed(draft, bench, searcher, found, agreement, note, limits)


def _room(bench: NoiseBench) -> float:
    """Return the bytes that weights may take: a share of FP32's, less what graph, scales and names will."""
    elements: int = sum(math.prod(bench.graph.weights[name].dims) for name in bench.cache.arrays)
    return MOST_BYTES * 4 * elements - int(bench.slim.ByteSize()) - NODE_BYTES * len(bench.able)


def _timed(
    draft: Draft,
    bench: NoiseBench,
    searcher: Searcher,
    found: Found,
    agreement: Agreement | None,
    note: str,
    limits: Limits | None,
) -> Chosen:
    """Hold a mix against FP32's time where that can be measured. A slower one gives way to float arithmetic, unless it
    was asked for (`limits` None).
    """
    table = open_table(draft.options.target)
    latency = None
    if table is not None and table.measurable:
        latency = _time(bench, found, table)
        if limits is not None and found.mix.named(*SMALLER) and latency.bundle_ms > WORTH * latency.fp32_ms:
            found = searcher.measured(found.mix, limits)  # fewer bits save bytes, not time
            agreement = _agreement(draft, bench, found)
            latency = _time(bench, found, table)
        if limits is not None and found.mix.named("int8") and latency.bundle_ms > WORTH * latency.fp32_ms:
            slow = latency.bundle_ms / latency.fp32_ms
            found = searcher.measured(searcher.all_float(), limits)
            agreement = _agreement(draft, bench, found)
            latency = _time(bench, found, table)
            note += f"; int8 arithmetic took {slow:.2f}x FP32's time here, so only the weights are int8"
    if agreement is not None:
        note += f"; {agreement.measure} {agreement.value:.3f} on {agreement.images} held-back images"
    return Chosen(found, note, agreement, latency)


def _agreement(draft: Draft, bench: NoiseBench, found: Found) -> Agreement | None:
    return agreement_of(draft, bench.write(bench.model(found.mix), "found")) if draft.options.effort != "fast" else None


def _time(bench: NoiseBench, found: Found, table: LatencyTable) -> Latency:
    reference = bench.write(bench.slim, "reference")
    other = bench.write(bench.model(found.mix), "found")
    fp32_ms, bundle_ms = measure_pair(table, reference, other, bench.samples[0], bench.heavy)
    return Latency(table.machine, table.threads, fp32_ms, bundle_ms)
