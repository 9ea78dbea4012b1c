"""Choose the precision of every node with weights, and say why, from measurements on the calibration set.

The search rests on one observation: quantization noise of different layers is almost uncorrelated, so the noise
to signal ratios that the layers cause alone add up (Sakr et al., ICML 2017, "Analytical guarantees on numerical
precision of deep neural networks"). Layers are kept at FP16 worst first until the sum meets the target; then the
mix itself is measured, and more layers are kept while the measurement misses the target.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from edge_export.draft import Draft, Progress
from edge_export.graph import Graph
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.noise import decibels
from edge_export.quant.qdq import fits_fp16
from edge_export.quant.select import Compute
from edge_export.quant.trial import Trial
from edge_runtime.errors import UsageError
from edge_runtime.manifest import NodePrecision, Precision

__all__ = ["TARGET_DB", "choose_precision"]

TARGET_DB = 20.0
# Samples that a whole mix is measured on, and the step between those that single layers are measured on.
TRIAL_SAMPLES = 16
LAYER_STEP = 4
# Smaller than this, the Cast and the names of a constant cost more than half of it saves.
SMALL_BYTES = 4096
# Weights of a node that was chosen to be FP16 are stored so from here on: the user asked, or a measurement did.
TINY_BYTES = 256
# FP16 storage of other constants must be this harmless, or they stay FP32 (they may be coordinates, not weights).
HARMLESS_DB = 50.0


@dataclass(frozen=True)
class Sensitivity:
    """Noise / signal by part of the outputs when only `item` is int8."""

    item: Compute
    ratios: dict[str, float]

    @property
    def worst(self) -> float:
        """The ratio of the part that suffers most."""
        return max(self.ratios.values(), default=0.0)


def choose_precision(draft: Draft, progress: Progress) -> Draft:
    """Fill `precision` (every compute node) and `half_weights` (initializers to store as FP16)."""
    if arrived := arrived_quantized(draft.model):
        return replace(draft, precision=arrived, notes=(*draft.notes, "arrived quantized: its scales are kept"))
    with Trial(draft, TRIAL_SAMPLES) as trial:
        if draft.options.quantize != "int8":
            precision = tuple(_asked(item, draft.options.quantize) for item in trial.candidates)
        else:
            precision, level = _int8_mix(draft, trial, progress)
            draft = replace(draft, mix_db=level)
        if draft.options.quantize == "fp32":
            return replace(draft, precision=precision)
        return _store_halves(replace(draft, precision=precision), trial)


def _asked(item: Compute, precision: Precision) -> NodePrecision:
    return NodePrecision(item.name, item.op, precision, f"asked for: --quantize {precision}")


def _int8_mix(draft: Draft, trial: Trial, progress: Progress) -> tuple[tuple[NodePrecision, ...], float | None]:
    """The precision of every compute node, and the dB of the outputs with all of them so (None: nothing is int8)."""
    refused = {item.name: item.refusal for item in trial.candidates if item.refusal}
    wanted = _split(draft.options.keep_fp16, {item.name for item in trial.able})
    if "none" in wanted and len(wanted) > 1:
        raise UsageError(f"--keep-fp16 none goes with nothing else, found also {', '.join(set(wanted) - {'none'})}")
    kept = _matching(trial.able, [pattern for pattern in wanted if pattern not in ("auto", "none")])
    measured = _measure(trial, progress) if trial.able else []
    if "auto" in wanted:
        found, mix = _search(trial, [one for one in measured if one.item.name not in kept], progress)
        kept |= found
    else:
        mix = _level(trial, [item for item in trial.able if item.name not in kept])
    verdict = f"outputs at {mix:.1f} dB of FP32" + (f" (target {TARGET_DB:.0f})" if "auto" in wanted else "")
    progress.note(f"precision: {len(trial.able) - len(kept)} nodes int8, {len(kept) + len(refused)} FP16; {verdict}")
    by_name = {found.item.name: decibels(found.worst) for found in measured}
    nodes = []
    for item in trial.candidates:
        level = by_name.get(item.name)
        rounded = None if level is None else round(level, 2)
        if item.name in refused:
            nodes.append(NodePrecision(item.name, item.op, "fp16", f"no int8 form: {item.refusal}"))
        elif item.name in kept:
            nodes.append(NodePrecision(item.name, item.op, "fp16", kept[item.name], rounded))
        else:
            reason = f"int8 here alone leaves the outputs at {level:.1f} dB" if level is not None else "int8"
            nodes.append(NodePrecision(item.name, item.op, "int8", reason, rounded))
    return tuple(nodes), mix if len(kept) < len(trial.able) else None


def _level(trial: Trial, int8: Sequence[Compute]) -> float:
    return decibels(max(trial.noise(int8).values(), default=0.0))


def _measure(trial: Trial, progress: Progress) -> list[Sensitivity]:
    found = []
    with progress.step("sensitivity per layer", len(trial.able)) as advance:
        for item in trial.able:
            found.append(Sensitivity(item, trial.noise([item], every=LAYER_STEP)))
            advance()
    return found


def _search(trial: Trial, measured: Sequence[Sensitivity], progress: Progress) -> tuple[dict[str, str], float]:
    """Return the nodes to keep at FP16 with the reason of each, and what the search found in words.

    It ends: with every node at FP16 nothing is left that makes noise.
    """
    ordered = sorted(measured, key=lambda found: -found.worst)
    step = max(1, len(ordered) // 16)
    count, level = _predicted_count(ordered, 10 ** (-TARGET_DB / 10)), -math.inf
    with progress.step("precision search", 1 + max(0, len(ordered) - count) // step) as advance:
        while True:
            level = _level(trial, [found.item for found in ordered[count:]])
            advance()
            if level >= TARGET_DB or count >= len(ordered):
                break
            count = min(count + step, len(ordered))
    kept = {
        found.item.name: f"kept at FP16: int8 here alone takes the outputs down to {decibels(found.worst):.1f} dB"
        for found in ordered[:count]
    }
    return kept, level


def _predicted_count(ordered: Sequence[Sensitivity], target: float) -> int:
    """Return how many of the worst layers must go until the sum of what is left meets the target."""
    left: dict[str, float] = {}
    for found in ordered:
        for part, ratio in found.ratios.items():
            left[part] = left.get(part, 0.0) + ratio
    for count, found in enumerate(ordered):
        if max(left.values(), default=0.0) <= target:
            return count
        for part, ratio in found.ratios.items():
            left[part] -= ratio
    return len(ordered)


def _split(patterns: Sequence[str], names: Collection[str]) -> list[str]:
    """Part values at their commas, but for those that are whole names of nodes."""
    parts = [[text] if text in names else text.split(",") for text in patterns]
    return [part.strip() for some in parts for part in some if part.strip()]


def _matching(able: Sequence[Compute], patterns: Sequence[str]) -> dict[str, str]:
    names = [item.name for item in able]
    kept: dict[str, str] = {}
    for pattern in patterns:
        # Names such as "layers[1]/conv" are no patterns, though they look like it.
        matches = [name for name in names if name == pattern or fnmatch.fnmatchcase(name, pattern)]
        if not matches:
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
            raise UsageError(
                f"--keep-fp16 {pattern!r} matches none of the {len(names)} nodes that can be int8; "
                f"names look like {', '.join(map(repr, near))}"
            )
        kept.update(dict.fromkeys(matches, f"kept at FP16: asked for by --keep-fp16 {pattern}"))
    return kept


def _store_halves(draft: Draft, trial: Trial) -> Draft:
    """Choose the initializers stored as FP16: those of FP16 nodes, and other big ones where it is harmless."""
    precision = {node.node: node.precision for node in draft.precision}
    of_nodes = {item.weight: precision[item.name] for item in trial.candidates}
    by_bytes = {name: values.nbytes for name, values in trial.cache.arrays.items()}
    wanted = [name for name, kind in of_nodes.items() if kind == "fp16" and by_bytes[name] >= TINY_BYTES]
    others = [name for name, size in by_bytes.items() if name not in of_nodes and size >= SMALL_BYTES]
    int8_weights = {item.weight for item in trial.candidates if precision[item.name] == "int8"}
    fitting = [name for name in [*wanted, *others] if name not in int8_weights and fits_fp16(trial.cache.arrays[name])]
    notes = draft.notes
    extra = [name for name in others if name in fitting]
    if extra and max(trial.noise([], extra).values(), default=0.0) > 10 ** (-HARMLESS_DB / 10):
        fitting = [name for name in fitting if name not in extra]
        notes = (*notes, f"{len(extra)} constants stay FP32: as FP16 they would move the outputs")
    changed = tuple(
        replace(
            node,
            precision="fp32",
            reason=f"{node.reason}; its weights stay FP32: too small or outside FP16's range",
        )
        if node.precision == "fp16" and not _is_half(node.node, trial, fitting)
        else node
        for node in draft.precision
    )
    stored = changed + _other_readers(draft, frozenset(fitting))
    return replace(draft, precision=stored, half_weights=tuple(sorted(fitting)), notes=notes)


def _other_readers(draft: Draft, halves: frozenset[str]) -> tuple[NodePrecision, ...]:
    """Nodes of other kinds whose weights are stored as FP16 too: a table of embeddings, an LSTM."""
    reason = "no int8 form" if draft.options.quantize == "int8" else f"--quantize {draft.options.quantize}"
    listed = {node.node for node in draft.precision}
    return tuple(
        NodePrecision(node.name, node.op_type, "fp16", f"stored as FP16: {reason}")
        for node in draft.model.graph.node
        if node.name not in listed and not halves.isdisjoint(Graph.reads(node))
    )


def _is_half(name: str, trial: Trial, fitting: Sequence[str]) -> bool:
    return any(item.name == name and item.weight in fitting for item in trial.candidates)
