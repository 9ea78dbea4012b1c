"""The figures that decide: which of a manifest's measurements speak for the finished bundle."""

from __future__ import annotations

import math

from edge_export.certificate.words import decibel, percent
from edge_export.quant.noise import CEILING_DB
from edge_export.state import Comparison, Score
from edge_runtime.bundle.manifest import Accuracy, Manifest, Stage

__all__ = [
    "agreement_in_words",
    "final_agreement",
    "is_arrived",
    "least_agreement",
    "lost_metrics",
    "output_levels",
    "reference_name",
    "whole_stage",
    "worst_agreement",
]

_AGAINST_FLOAT = "against its own weights in float"  # as passes/arrived.py names its figures
_TWIN_WORDS = f"agreement {{}} {_AGAINST_FLOAT.replace('against', 'with')}"
_TASK_WORDS = {
    "agreement": "agreement {}",
    "box_f1": "box agreement (F1) {}",
    "mask_f1": "mask agreement (F1) {}",
    "points_f1": "key point agreement (F1) {}",
    "oriented_f1": "turned box agreement (F1) {}",
    "mask_miou": "mask agreement (IoU) {}",
    "same_verdict": "same verdict {}",
}


def final_agreement(manifest: Manifest) -> tuple[float | None, str, str]:
    """Return the agreement of the finished bundle with FP32 (None: not measured), a phrase that says it or what is
    known in its place, and the data; from labelled images before held-back ones.
    """
    if row := worst_agreement(manifest.accuracy):
        return row.bundle, agreement_in_words(row), row.data
    certificate = manifest.certificate
    kept = [stage for stage in certificate.stages if stage.kept] if certificate else []
    if certificate and kept and kept[-1].agreement is not None:
        data = certificate.held_back
        return kept[-1].agreement, f"agreement {percent(kept[-1].agreement)} on {data}", data
    whose = _AGAINST_FLOAT.removeprefix("against ") if _twins(manifest.accuracy) else reference_name(manifest)
    if levels := [(row.bundle, row.data) for row in output_levels(manifest)]:
        level, data = min(levels)
        words = f"equal to those of {whose}" if level >= CEILING_DB else f"within {decibel(level)} of {whose}"
        return None, f"outputs {words} on {data}", data
    # Integer outputs have no level: whether they differ at all is known.
    gaps = [row for row in manifest.accuracy if row.metric.startswith("max_abs_diff")]
    if gaps and all(row.bundle == 0.0 for row in gaps):
        return None, f"outputs equal to those of {whose} on {gaps[0].data}", gaps[0].data
    return None, "", ""


def whole_stage(manifest: Manifest) -> Stage | None:
    """Return the finished bundle under onnxruntime as the last stage, from the manifest's own figures."""
    levels = [row.bundle for row in output_levels(manifest)]
    agreement = worst_agreement(manifest.accuracy)
    if not levels and agreement is None:
        return None
    data = agreement.data if agreement else ""
    return Stage(
        "the bundle under onnxruntime",
        min(levels, default=None),
        agreement.bundle if agreement else None,
        True,
        f"agreement on {data}" if data else "the written graph, run by onnxruntime",
    )


def output_levels(manifest: Manifest) -> list[Accuracy]:
    """Signal over noise of each output; of a model that arrived quantized, against its own weights in float."""
    twins = [row for row in _twins(manifest.accuracy) if row.metric.startswith("sqnr_db")]
    return twins or [row for row in manifest.accuracy if row.metric.startswith("sqnr_db")]


def lost_metrics(comparison: Comparison, allowed: float) -> tuple[Score, ...]:
    """Return the changes, but the leading one, of figures that fell by more than is allowed, not by chance (95 %)."""
    return tuple(
        change
        for change in comparison.difference[1:]
        if math.isfinite(change.high) and change.value < -allowed and change.high < 0
    )


def is_arrived(manifest: Manifest) -> bool:
    """Tell whether the model arrived quantized: what it is compared with is then itself, or its weights in float."""
    return any(node.reason.startswith("arrived quantized") for node in manifest.precision)


def reference_name(manifest: Manifest) -> str:
    """Return what the bundle is compared with, in words."""
    return "the model as it arrived" if is_arrived(manifest) else "FP32"


def agreement_in_words(row: Accuracy) -> str:
    """Say a measured agreement, and on what."""
    return f"{_TASK_WORDS.get(row.metric, _TWIN_WORDS).format(percent(row.bundle))} on {row.data}"


def worst_agreement(accuracy: tuple[Accuracy, ...]) -> Accuracy | None:
    """Return the measured agreement of the finished bundle with FP32; None where there is none."""
    twin = next((row for row in _twins(accuracy) if row.metric.startswith("agreement")), None)
    if twin is not None:
        return twin
    rows = [row for row in accuracy if row.metric in _TASK_WORDS]
    # Of boxes and what else objects have, on the same data: what suffered most.
    return min((row for row in rows if row.data == rows[0].data), key=lambda row: row.bundle) if rows else None


def least_agreement(accuracy: tuple[Accuracy, ...]) -> float | None:
    """Return the lowest end of the intervals of the measured agreement; None where there is none."""
    return min((row.low for row in accuracy if row.metric in _TASK_WORDS and row.low is not None), default=None)


def _twins(accuracy: tuple[Accuracy, ...]) -> list[Accuracy]:
    return [row for row in accuracy if row.metric.endswith(_AGAINST_FLOAT)]
