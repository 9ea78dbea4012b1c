"""The verdict on top of every report: one sentence of figures that were measured, and its tone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edge_export.certificate.figures import (
    final_agreement,
    is_arrived,
    least_agreement,
    lost_metrics,
    output_levels,
    reference_name,
)
from edge_export.certificate.findings import Findings, precision_counts
from edge_export.certificate.words import percent, ratio, signed
from edge_export.quant.schemes import is_narrow
from edge_export.search.targets import RUINED_DB, RUINED_SHARE, allowed_loss
from edge_runtime.bundle.manifest import Manifest

__all__ = ["Headline", "headline"]

Tone = Literal["good", "check", "bad"]


@dataclass(frozen=True)
class Headline:
    """The verdict: its tone, that in a word, and one sentence of figures."""

    tone: Tone
    word: str
    sentence: str


def headline(findings: Findings) -> Headline:
    """Return the verdict in one sentence, from figures that were measured."""
    manifest, certificate = findings.manifest, findings.manifest.certificate
    agreement, said, _ = final_agreement(manifest)
    figures = [f"{ratio(findings.size_ratio)} the bytes"]
    if findings.time_ratio is not None:
        figures.append(f"{ratio(findings.time_ratio)} the time of {reference_name(manifest)}")
    else:
        figures[0] += f" of {reference_name(manifest)}"
    if said:
        figures.append(said)
    if findings.leading:
        before, after, change = findings.leading
        if change.images > 1 and math.isfinite(change.low):
            figures.append(
                f"{change.metric} {before.value:.3f} to {after.value:.3f} "
                f"(change {signed(change.value)}, 95 % {signed(change.low)} to {signed(change.high)})"
            )
    allowed = certificate.max_drop if certificate else 0.0
    tone, word = _tone(findings, agreement, allowed)
    return Headline(tone, word, f"{_kind(manifest)}: {', '.join(figures)}.")


def _tone(findings: Findings, agreement: float | None, allowed: float) -> tuple[Tone, str]:
    if findings.blind:
        return "bad", "FP32 itself finds nothing: nothing was proved, and the bundle judges nothing"
    levels = [row.bundle for row in output_levels(findings.manifest)]
    change = findings.leading[2] if findings.leading else None
    if (change and change.high < -allowed) or min(levels, default=RUINED_DB) < RUINED_DB:
        return "bad", "More was lost than was allowed"
    if agreement is not None and agreement < RUINED_SHARE and not is_arrived(findings.manifest):
        return "bad", "More was lost than was allowed: most answers are not FP32's"
    if findings.warnings:
        return "check", "Read the warnings before you deploy"
    if findings.comparison and lost_metrics(findings.comparison, allowed):
        return "check", "A figure beside the leading one fell"
    loss = allowed_loss(findings.manifest.postprocess.task, allowed)
    dropped = change.value < -allowed if change else agreement is not None and 1.0 - agreement > loss + 1e-9
    dropped = dropped and not is_arrived(findings.manifest)  # nothing was lost here, whatever its scales had lost
    if dropped:
        return "check", "The allowed drop may be exceeded"
    if not findings.manifest.accuracy and agreement is None:
        return "check", "Nothing was measured"
    if (looked := _looked_at(findings)) and agreement is None:
        return "check", "FP32 finds nothing in the held-back images: no answers were compared"
    least = least_agreement(findings.manifest.accuracy) if looked else None
    if least is not None and least < RUINED_SHARE:
        return (
            "check",
            f"Too few answers of held-back images to tell: up to {percent(1.0 - least)} of all may be others",
        )
    return "good", "Within what was allowed"


def _looked_at(findings: Findings) -> int:
    """How many held-back images are all that tells of the answers of a graph whose weights were rounded; else 0."""
    narrow = any(is_narrow(node.precision) for node in findings.manifest.precision)
    if not narrow or findings.comparison is not None or findings.flips is None or is_arrived(findings.manifest):
        return 0
    return findings.flips.images


def _kind(manifest: Manifest) -> str:
    counts = precision_counts(manifest.precision)
    if not counts:
        return f"{manifest.model.precision} bundle"
    first, *others = counts
    return (
        f"{first} bundle ({', '.join(f'{count} {kind}' for kind, count in counts.items())})"
        if others
        else f"{first} bundle"
    )
