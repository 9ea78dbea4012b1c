"""Choose the precision of every node with weights, and say why, from measurements on held-back samples.

What is searched, and how, is in edge_export.search; here is what is asked for, and how the choice is told.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.halves import store_halves
from edge_export.quant.noise_bench import NoiseBench
from edge_export.quant.schemes import scheme_of
from edge_export.quant.select import Compute
from edge_export.search.choose import MIX_SAMPLES, Chosen, choose
from edge_export.search.search import SMALLER
from edge_export.state import Draft, Mix, Progress
from edge_runtime.bundle.manifest import NodePrecision, Stage
from edge_runtime.errors import UsageError

__all__ = ["choose_precision"]


def choose_precision(draft: Draft, progress: Progress) -> Draft:
    """Choose the `mix`, and say of every compute node in `precision` why."""
    if arrived := arrived_quantized(draft.model):
        return replace(draft, precision=arrived, notes=(*draft.notes, "arrived quantized: its scales are kept"))
    with NoiseBench(draft, MIX_SAMPLES[draft.options.effort]) as bench:
        draft = _int8_mix(draft, bench, progress) if draft.options.quantize == "int8" else _as_asked(draft, bench)
        return draft if draft.options.quantize == "fp32" else store_halves(draft, bench)


def _as_asked(draft: Draft, bench: NoiseBench) -> Draft:
    """Return the draft with one precision for every node that can have it, FP16 for the others."""
    scheme = scheme_of(draft.options.quantize)
    able = {item.name for item in bench.candidates if scheme.able(bench.graph, item)}
    rows = tuple(
        NodePrecision(item.name, item.op, scheme.name, f"asked for: --quantize {scheme.name}")
        if item.name in able
        else NodePrecision(item.name, item.op, "fp16", f"no {scheme.name} form")
        for item in bench.candidates
    )
    mix = Mix.of("fp16", (item.name for item in bench.candidates)).given(scheme.name, able)
    return replace(draft, mix=mix, precision=rows)


def _int8_mix(draft: Draft, bench: NoiseBench, progress: Progress) -> Draft:
    """Return the draft with the precision of every compute node."""
    names = [item.name for item in bench.candidates]
    if not bench.able:
        rows = tuple(_refused(item) for item in bench.candidates)
        return replace(draft, mix=Mix.of("fp16", names), precision=rows)
    wanted = _split(draft.options.keep_fp16, {item.name for item in bench.able})
    if "none" in wanted and len(wanted) > 1:
        raise UsageError(f"--keep-fp16 none goes with nothing else, found also {', '.join(set(wanted) - {'none'})}")
    kept = _matching(bench.able, [pattern for pattern in wanted if pattern not in ("auto", "none")])
    searched = "auto" in wanted
    chosen = choose(draft, bench, frozenset(kept), searched, progress)
    found, agreement = chosen.found, chosen.agreement
    integers = len(found.mix.named("int8"))
    counts = f"{integers} nodes int8, {len(bench.able) - integers} float"
    progress.note(f"precision: {counts}; outputs at {found.level:.1f} dB of FP32; {chosen.note}")
    stage = Stage(
        "precision search" if searched else "precision as asked for",
        round(found.level, 2),
        None if agreement is None else round(agreement.value, 4),
        True,
        f"{counts}; {chosen.note}",
    )
    # What the search left as it came is stored as FP16 where that is smaller.
    mix = found.mix.given("fp16", (name for name in names if name in kept or found.mix.precision(name) == "fp32"))
    reasons = _Reasons(chosen, mix, kept)
    return replace(
        draft,
        precision=tuple(_refused(item) if item.refusal else reasons.of(item) for item in bench.candidates),
        mix=mix,
        mix_db=found.level if found.mix.named("int8", "int8-weights") else None,
        latency=chosen.latency,
        stages=(*draft.stages, stage),
    )


def _refused(item: Compute) -> NodePrecision:
    return NodePrecision(item.name, item.op, "fp16", f"no int8 form: {item.refusal}")


@dataclass(frozen=True)
class _Reasons:
    """Says why each node has its precision; `kept` are those that were asked to be FP16, with the reason."""

    chosen: Chosen
    mix: Mix
    kept: Mapping[str, str]

    def of(self, item: Compute) -> NodePrecision:
        """Return the precision of a node that could be int8."""
        one = next((one for one in self.chosen.sensitivities if one.item.name == item.name), None)
        level = None if one is None else round(one.level, 2)
        scheme = scheme_of(self.mix.precision(item.name))
        if item.name in self.kept:
            reason = self.kept[item.name]
        elif scheme.integers:
            reason = "int8" if level is None else f"int8 here alone leaves the outputs at {level:.1f} dB"
            reason += self._speed(item.name)
        else:
            reason = "its arithmetic is float: " + self._why_float(item.name, level)
            if scheme.name in SMALLER:
                reason += f"; the target leaves room for weights of {scheme.bits} bits"
            elif scheme.name == "fp16" and one is not None and one.weights:
                reason += f"; as int8 its weights alone take the outputs to {one.weights_level:.1f} dB"
        return NodePrecision(item.name, item.op, scheme.name, reason, level)

    def _why_float(self, name: str, level: float | None) -> str:
        alone = "" if level is None else f" (in int8 alone {level:.1f} dB{self._speed(name)})"
        as_float, as_int = self.chosen.times.get(name, (0.0, -1.0))
        if not self.mix.named("int8"):
            return f"no int8 layer gained{alone}"
        return f"{'int8 is slower here' if as_int >= as_float else 'the target asks for it'}{alone}"

    def _speed(self, name: str) -> str:
        if name not in self.chosen.times:
            return ""
        as_float, as_int = self.chosen.times[name]
        return f", {as_int:.0f} us against {as_float:.0f} as float"


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
